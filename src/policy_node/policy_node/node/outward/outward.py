"""What the policy node does about its outward servers: parameters, and a start after each load."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass, make_dataclass
from typing import Any

from policy_node.node.outward.access import Access
from policy_node.node.outward.backend import Backend
from policy_node.node.outward.protocols import OFF, PROTOCOLS, Served
from policy_node.node.outward.servers import PolicyServers, ServeSettings
from policy_node.policy import PolicySpec
from sim_bridge.errors import BridgeError
from sim_bridge.settings.parameters import check, parameter
from sim_bridge.types import SimSpec

log = logging.getLogger(__name__)

TOKEN_VARIABLE = "POLICY_NODE_TOKEN"


@dataclass(frozen=True)
class Serving:
    """Serving the policy to clients without ROS. The token that they must show is the environment
    variable POLICY_NODE_TOKEN, since anyone can read a parameter."""

    serve_host: str = parameter("127.0.0.1", "address that these ports listen on")
    serve_anonymously: bool = parameter(False, f"serve without a token ({TOKEN_VARIABLE})")
    serve_timeout_s: float = parameter(60.0, "bounds one request [s]", above=0.0)

    def __post_init__(self) -> None:
        check(self)
        self.settings()

    def settings(self) -> ServeSettings | None:
        """None when nothing is to be served. Raises InvalidRequest, also for a missing token."""
        ports = {name: getattr(self, f"serve_{name}_port") for name in PROTOCOLS}
        if set(ports.values()) == {OFF}:
            return None
        key_maps = {name: getattr(self, f"serve_{name}_map") for name in _key_maps()}
        token = os.environ.get(TOKEN_VARIABLE, "")
        access = Access(token, self.serve_anonymously, self.serve_host)
        return ServeSettings(access, ports, key_maps, self.serve_timeout_s)


def _key_maps() -> list[str]:
    return list(dict.fromkeys(served.key_map for served in PROTOCOLS.values()))


def _port(served: Served) -> Any:
    about = f"port for {served.meaning}; -1: none, 0: any free one"
    return parameter(OFF, about, low=OFF, high=65535)


def _map(name: str) -> Any:
    users = " and ".join(s.meaning for s in PROTOCOLS.values() if s.key_map == name)
    return parameter(name, f"key map for {users}, by name or file")


def serve_parameters() -> type[Serving]:
    """``Serving`` with a port for each protocol of the table, and a parameter for each key map."""
    parameters: list[tuple[str, type, Any]] = []
    parameters += [(f"serve_{name}_port", int, _port(p)) for name, p in PROTOCOLS.items()]
    parameters += [(f"serve_{name}_map", str, _map(name)) for name in _key_maps()]
    doc = {"__doc__": Serving.__doc__}
    return make_dataclass(
        "ServeParameters", parameters, bases=(Serving,), namespace=doc, frozen=True
    )


ServeParameters = serve_parameters()


class OutwardServers:
    """The servers of one node; started again when the simulator's task changes."""

    def __init__(self, parameters: Serving, backend: Backend) -> None:
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
