"""Waiting for a bridge's latched description: in one's own thread, or beside an executor."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable

from rclpy.node import Node
from sim_interfaces import msg as m

from sim_bridge import names
from sim_bridge.errors import Canceled, TimedOut
from sim_bridge.ros import qos
from sim_bridge.ros.calls import Receiver
from sim_bridge.ros.convert_spec import from_spec_msg
from sim_bridge.types import SimSpec

_SLICE_S = 0.2
_HINT = "; is it running, with the same ROS_DOMAIN_ID and namespace?"


def receive_spec(
    node: Node,
    namespace: str,
    timeout_s: float,
    watch: Callable[[], None] = lambda: None,
    hint: str = _HINT,
) -> SimSpec:
    """For a ``node`` that nobody spins. TimedOut, which ends with ``hint``, when no bridge at
    ``namespace`` publishes its spec; ``watch`` is called now and then, and may raise."""
    topic = f"{namespace.rstrip('/')}/{names.SPEC}" if namespace else names.SPEC
    receiver = Receiver(node, m.SimSpec, topic, qos.LATCHED, watch)
    try:
        return from_spec_msg(receiver.take(timeout_s))
    except TimedOut:
        raise TimedOut(f"no bridge on {topic!r} within {timeout_s:.4g} s{hint}") from None
    finally:
        receiver.destroy()


class SpecWatch:
    """The newest spec in the namespace of a ``node`` that an executor serves.

    ``on_change`` is called, by the executor, when a later one describes another task: a bridge
    that was restarted with the same task only has another ``bridge_id``.
    """

    spec: SimSpec | None = None

    def __init__(
        self, node: Node, on_change: Callable[[SimSpec], None] = lambda spec: None
    ) -> None:
        self.topic = node.resolve_topic_name(names.SPEC)
        self._task: m.SimSpec | None = None
        self._on_change = on_change
        self._arrived = threading.Event()
        node.create_subscription(m.SimSpec, names.SPEC, self._on_spec, qos.LATCHED)

    def wait(
        self, timeout_s: float = math.inf, should_stop: Callable[[], bool] = lambda: False
    ) -> SimSpec:
        """TimedOut when none has come, Canceled when ``should_stop`` said so. From any thread
        but the executor's."""
        deadline = time.monotonic() + timeout_s
        while self.spec is None and not self._arrived.wait(_SLICE_S):
            if should_stop():
                raise Canceled("stopped before a bridge was there")
            if time.monotonic() > deadline:
                raise TimedOut(f"no bridge on {self.topic!r} within {timeout_s:g} s{_HINT}")
        assert self.spec is not None
        return self.spec

    def _on_spec(self, message: m.SimSpec) -> None:
        spec = from_spec_msg(message)
        message.bridge_id = ""
        before, self._task = self._task, message
        self.spec = spec
        self._arrived.set()
        if before is not None and before != message:
            self._on_change(spec)
