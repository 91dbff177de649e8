"""Bridges to run episodes on, each with its own node."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence

import rclpy
from rclpy.context import Context
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from sim_interfaces import msg as m
from tqdm import tqdm

from sim_bridge import names
from sim_bridge.client.bridge_client import BridgeClient
from sim_bridge.errors import TimedOut
from sim_bridge.ros import qos
from sim_bridge.ros.calls import Receiver
from sim_bridge.ros.convert_spec import from_spec_msg
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
            namespace=namespace,
            start_parameter_services=False,
            enable_rosout=False,
        )
        self.client = BridgeClient(self._node, timeout_s=_STEP_TIMEOUT_S)

    def connect(self, check: Callable[[], None]) -> SimSpec:
        """Wait for the bridge; ``check`` is called now and then and may raise."""
        receiver = Receiver(self._node, m.SimSpec, names.SPEC, qos.LATCHED)
        try:
            self.spec = from_spec_msg(_take(receiver, check))
        except TimedOut:
            raise TimedOut(
                f"no bridge in namespace {self.namespace!r} within {_CONNECT_TIMEOUT_S:g} s; is it "
                "running, with the same ROS_DOMAIN_ID?"
            ) from None
        finally:
            receiver.destroy()
        self.client.wait_for_bridge(_CONNECT_TIMEOUT_S)
        return self.spec

    def close(self) -> None:
        self.client.close()
        self._node.destroy_node()


def _take(receiver: Receiver, check: Callable[[], None]) -> m.SimSpec:
    slices = int(_CONNECT_TIMEOUT_S)
    for attempt in range(slices):
        try:
            return receiver.take(1.0)
        except TimedOut:
            check()
            if attempt == slices - 1:
                raise
    raise AssertionError("unreachable")


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
        for bridge in tqdm(bridges, desc="connecting", unit="simulator", leave=False):
            bridge.connect(check)
        yield bridges
