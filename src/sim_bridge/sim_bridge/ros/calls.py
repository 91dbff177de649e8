"""Synchronous calls and messages, without an executor.

A stock executor costs a multiple of the DDS round trip, and rebuilds its wait set on every
turn. Here one thread waits for one client or one subscription. Where rclpy has no wait set that
we know (``HAVE_WAIT_SET`` is False), the same classes run on a stock executor.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from rclpy.callback_groups import CallbackGroup
from rclpy.client import Client
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile

from sim_bridge.errors import TimedOut
from sim_bridge.ros.interrupts import DeferredInterrupt
from sim_bridge.ros.wait_set import HAVE_WAIT_SET, ClientWait, SubscriptionWait

_PING_S = 1.0
_SLICE_S = 0.2  # so that Ctrl-C is seen


class Detached(CallbackGroup):
    """Keeps its entities away from executors: somebody else waits on them, unless ``attached``."""

    attached = False

    def can_execute(self, entity: Any) -> bool:
        return self.attached

    def beginning_execution(self, entity: Any) -> bool:
        return self.attached

    def ending_execution(self, entity: Any) -> None:
        pass


class Caller:
    """Synchronous calls on one client of a ``node`` that nobody spins, or with ``Detached``.

    Not for two threads at once. A reply that comes after its time-out is thrown away. ``watch``
    is called now and then while waiting; what it raises ends the call.
    """

    def __init__(
        self, node: Node, srv_type: type, name: str, watch: Callable[[], None] = lambda: None
    ) -> None:
        self._node = node
        self._watch = watch
        self._group = Detached()
        self._client: Client = node.create_client(srv_type, name, callback_group=self._group)
        self._wait: ClientWait | None = None

    @property
    def name(self) -> str:
        return self._client.srv_name

    def wait_for_service(self, timeout_s: float) -> bool:
        # One look where it is there, as on the way of every inference; rclpy takes two.
        return self._client.service_is_ready() or self._client.wait_for_service(timeout_s)

    def call(self, request: Any, timeout_s: float) -> Any:
        """The response; TimedOut when none came."""
        if not HAVE_WAIT_SET:
            return self._call_with_executor(request, timeout_s)
        context = self._node.context
        if self._wait is None:
            self._wait = ClientWait(self._client, context)
        deadline = time.monotonic() + timeout_s
        with DeferredInterrupt() as interrupt, self._wait as wait:
            sequence = wait.send(request)
            while context.ok() and not interrupt.pressed:
                left = deadline - time.monotonic()
                if left <= 0:
                    break
                answered, response = wait.take(min(left, _SLICE_S))
                if answered is None:
                    self._watch()
                    if not self._client.service_is_ready():
                        raise TimedOut(f"{self.name} went away while it was asked")
                elif answered == sequence:
                    return response
        raise TimedOut(f"no answer from {self.name} within {timeout_s:.3g} s")

    def _call_with_executor(self, request: Any, timeout_s: float) -> Any:
        self._group.attached = True
        future = self._client.call_async(request)
        deadline = time.monotonic() + timeout_s
        while not future.done() and time.monotonic() < deadline:
            spin_stock(self._node, 0.05)
            self._watch()
        if not future.done():
            self._client.remove_pending_request(future)
            raise TimedOut(f"no answer from {self.name} within {timeout_s:.3g} s")
        return future.result()

    def destroy(self) -> None:
        self._node.destroy_client(self._client)


def wait_for_server(
    what: str, callers: Sequence[Caller], asked: Caller, request: Any, timeout_s: float
) -> None:
    """TimedOut unless all services of ``what`` show up and ``asked`` answers ``request``.

    A service that is seen may not see its client yet, and then its answer is lost.
    """
    deadline = time.monotonic() + timeout_s
    for caller in callers:
        if not caller.wait_for_service(max(0.0, deadline - time.monotonic())):
            raise TimedOut(f"no {what}: service {caller.name} did not appear in {timeout_s:g} s")
    while True:
        try:
            asked.call(request, _PING_S)
            return
        except TimedOut:
            if time.monotonic() > deadline:
                raise


class Receiver:
    """Takes messages of one topic synchronously; the same conditions as for ``Caller``."""

    def __init__(
        self,
        node: Node,
        msg_type: type,
        topic: str,
        profile: QoSProfile,
        watch: Callable[[], None] = lambda: None,
    ) -> None:
        self._node = node
        self._watch = watch
        self._arrived: deque[Any] = deque()
        self._group = Detached()
        self._subscription = node.create_subscription(
            msg_type, topic, self._keep, profile, callback_group=self._group
        )
        self._wait: SubscriptionWait | None = None

    def _keep(self, message: Any) -> None:
        self._arrived.append(message)

    def take(self, timeout_s: float) -> Any:
        """The next message; TimedOut when none came."""
        deadline = time.monotonic() + timeout_s
        while self._node.context.ok():
            left = deadline - time.monotonic()
            if left <= 0:
                break
            message = self._poll(min(left, _SLICE_S))
            if message is not None:
                return message
            self._watch()
        raise TimedOut(f"nothing on {self._subscription.topic_name} within {timeout_s:.3g} s")

    def _poll(self, timeout_s: float) -> Any:
        if not HAVE_WAIT_SET:
            self._group.attached = True
            spin_stock(self._node, timeout_s)
            return self._arrived.popleft() if self._arrived else None
        if self._wait is None:
            self._wait = SubscriptionWait(self._subscription, self._node.context)
        with DeferredInterrupt(), self._wait as wait:
            return wait.take(timeout_s)

    def destroy(self) -> None:
        self._node.destroy_subscription(self._subscription)


def spin_stock(node: Node, timeout_s: float) -> None:
    executor = SingleThreadedExecutor(context=node.context)
    executor.add_node(node)
    try:
        executor.spin_once(timeout_sec=timeout_s)
    except ExternalShutdownException:
        pass
    finally:
        executor.remove_node(node)
        executor.shutdown()
