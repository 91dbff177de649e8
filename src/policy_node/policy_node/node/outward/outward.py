"""What the policy node does about its outward servers: parameters, and a start after each load."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass

from policy_node.node.outward.access import Access
from policy_node.node.outward.backend import Backend
from policy_node.node.outward.servers import OFF, PolicyServers, ServeSettings
from policy_node.policy import PolicySpec
from sim_bridge.errors import BridgeError
from sim_bridge.types import SimSpec

log = logging.getLogger(__name__)

TOKEN_VARIABLE = "POLICY_NODE_TOKEN"


@dataclass(frozen=True)
class ServeParameters:
    """``serve_openpi_port``, ``serve_groot_zmq_port``, ``serve_groot_http_port`` serve the policy
    to clients without ROS (-1: not, 0: any free port) on ``serve_host``. The token that clients
    must show is the environment variable POLICY_NODE_TOKEN, since anyone can read a parameter;
    ``serve_anonymously`` does without. ``serve_openpi_map`` and ``serve_groot_map`` are key maps,
    by name or file; ``serve_timeout_s`` bounds one request."""

    serve_openpi_port: int = OFF
    serve_groot_zmq_port: int = OFF
    serve_groot_http_port: int = OFF
    serve_host: str = "127.0.0.1"
    serve_anonymously: bool = False
    serve_openpi_map: str = "openpi"
    serve_groot_map: str = "groot"
    serve_timeout_s: float = 60.0

    def __post_init__(self) -> None:
        self.settings()

    def settings(self) -> ServeSettings | None:
        """None when nothing is to be served. Raises InvalidRequest, also for a missing token."""
        ports = self.serve_openpi_port, self.serve_groot_zmq_port, self.serve_groot_http_port
        if ports == (OFF, OFF, OFF):
            return None
        token = os.environ.get(TOKEN_VARIABLE, "")
        access = Access(token, self.serve_anonymously, self.serve_host)
        return ServeSettings(
            access, *ports, self.serve_openpi_map, self.serve_groot_map, self.serve_timeout_s
        )


class OutwardServers:
    """The servers of one node; begun anew when the simulator's task changes."""

    def __init__(self, parameters: ServeParameters, backend: Backend) -> None:
        self._settings = parameters.settings()
        self._backend = backend
        self._servers: PolicyServers | None = None

    def renew(self, policy: PolicySpec, sim_spec: SimSpec) -> None:
        """Serve this policy for this task. A failure (a port taken) is logged: the services of
        the node itself do not depend on it."""
        if self._settings is None:
            return
        self.close()
        self._servers = PolicyServers(self._settings, policy, sim_spec, self._backend)
        try:
            self._servers.start()
        except BridgeError as error:
            log.error("%s", error)

    def close(self) -> None:
        if self._servers:
            self._servers.close()
            self._servers = None
