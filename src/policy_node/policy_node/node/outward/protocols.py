"""The protocols by which clients without ROS reach the policy: a name, a server, its parameters."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from policy_node.node.outward.access import Access
from policy_node.node.outward.backend import Backend
from policy_node.node.outward.task import ServedTask

OFF = -1


class OutwardServer(ABC):
    """One server of the policy. Runs in the event loop of ``PolicyServers``: it never blocks,
    and awaits the backend's futures (``asyncio.wrap_future``) for at most ``timeout_s``."""

    protocol: str  # for people
    scheme: str  # of its address

    def __init__(
        self, task: ServedTask, backend: Backend, access: Access, timeout_s: float
    ) -> None:
        self._task = task
        self._backend = backend
        self._access = access
        self._timeout_s = timeout_s

    @abstractmethod
    def running(self, port: int) -> AbstractAsyncContextManager[int]:
        """Serve on ``access.host`` and ``port`` (0: any free one) until left; yields the port."""


@dataclass(frozen=True)
class Served:
    """``server`` is an ``OutwardServer`` as ``MODULE:CLASS``, imported when it is served;
    ``key_map`` names the default key map, which the parameter ``serve_<key_map>_map`` replaces."""

    meaning: str
    server: str
    key_map: str


# The parameter ``serve_<name>_port`` serves one.
PROTOCOLS = {
    "openpi": Served(
        "openpi's WebSocket protocol",
        "policy_node.node.outward.openpi_server:OpenpiServer",
        "openpi",
    ),
    "groot_zmq": Served(
        "GR00T's protocol over ZMQ",
        "policy_node.node.outward.groot_zmq_server:GrootZmqServer",
        "groot",
    ),
    "groot_http": Served(
        "GR00T's protocol over HTTP",
        "policy_node.node.outward.groot_http_server:GrootHttpServer",
        "groot",
    ),
}
