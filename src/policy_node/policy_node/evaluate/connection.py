"""Bridges to run episodes on, each with its own node."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence

import rclpy
from rclpy.context import Context
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from sim_bridge.client.bridge_client import BridgeClient
from sim_bridge.progress import track
from sim_bridge.types import SimSpec

_CONNECT_TIMEOUT_S = 90.0
_STEP_TIMEOUT_S = 120.0


class BridgeConnection:
    """A bridge, once it is there."""

    spec: SimSpec  # once connected

    def __init__(self, namespace: str, context: Context) -> None:
        self.namespace = namespace
        self.context = context
        self._node = Node(
            "evaluate",
            context=context,
            start_parameter_services=False,
            enable_rosout=False,
        )
        self.client = BridgeClient(self._node, namespace, timeout_s=_STEP_TIMEOUT_S)

    def connect(self, check: Callable[[], None]) -> SimSpec:
        """Wait for the bridge; ``check`` is called now and then and may raise."""
        self.spec = self.client.connect(_CONNECT_TIMEOUT_S, check)
        return self.spec

    def close(self) -> None:
        self.client.close()
        self._node.destroy_node()


@contextlib.contextmanager
def connected(
    namespaces: Sequence[str], domain_id: int, check: Callable[[], None]
) -> Iterator[list[BridgeConnection]]:
    """Connections to all of them, in a context of their own; ``check`` as of ``connect``."""
    with contextlib.ExitStack() as stack:
        context = Context()
        rclpy.init(
            context=context, domain_id=domain_id, signal_handler_options=SignalHandlerOptions.NO
        )
        stack.callback(context.try_shutdown)
        bridges = []
        for namespace in namespaces:
            bridges.append(BridgeConnection(namespace, context))
            stack.callback(bridges[-1].close)
        for bridge in track(bridges, "connecting", "simulator", keep=False):
            bridge.connect(check)
        yield bridges
