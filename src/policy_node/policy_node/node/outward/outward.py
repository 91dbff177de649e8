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
from sim_bridge.parameters import check, parameter
from sim_bridge.types import SimSpec

log = logging.getLogger(__name__)

TOKEN_VARIABLE = "POLICY_NODE_TOKEN"


def _port(protocol: str) -> int:
    return parameter(OFF, f"port for {protocol}; -1: none, 0: any free one", low=OFF, high=65535)


@dataclass(frozen=True)
class ServeParameters:
    """Serving the policy to clients without ROS. The token that they must show is the environment
    variable POLICY_NODE_TOKEN, since anyone can read a parameter."""

    serve_openpi_port: int = _port("openpi's WebSocket protocol")
    serve_groot_zmq_port: int = _port("GR00T's protocol over ZMQ")
    serve_groot_http_port: int = _port("GR00T's protocol over HTTP")
    serve_host: str = parameter("127.0.0.1", "address that these ports listen on")
    serve_anonymously: bool = parameter(False, f"serve without a token ({TOKEN_VARIABLE})")
    serve_openpi_map: str = parameter("openpi", "key map for openpi, by name or file")
    serve_groot_map: str = parameter("groot", "key map for GR00T, by name or file")
    serve_timeout_s: float = parameter(60.0, "bounds one request [s]", above=0.0)

    def __post_init__(self) -> None:
        check(self)
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
