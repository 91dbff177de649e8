"""Service calls and service loops on rclpy's wait set, without its executor.

A stock executor costs a multiple of the DDS round trip, and rebuilds its wait set on every
turn. Here one thread waits for one client, or for a fixed set of services. The wait set is
rclpy's private API, so all of its use is in this file; where it is missing or has changed
(``HAVE_WAIT_SET`` is False), the same functions run on a stock executor.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import Any

from rclpy.callback_groups import CallbackGroup
from rclpy.client import Client
from rclpy.context import Context
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.service import Service

from sim_bridge.errors import TimedOut
from sim_bridge.ros.interrupts import LateInterrupt

try:
    from rclpy.impl.implementation_singleton import rclpy_implementation as _rclpy

    HAVE_WAIT_SET = hasattr(_rclpy, "WaitSet") and hasattr(_rclpy.Service, "service_take_request")
except ImportError:
    HAVE_WAIT_SET = False

_PING_S = 1.0


class Detached(CallbackGroup):
    """Keeps its entities away from executors: somebody else waits on them."""

    def can_execute(self, entity: Any) -> bool:
        return False

    def beginning_execution(self, entity: Any) -> bool:
        return False

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
        self._client: Client = node.create_client(srv_type, name, callback_group=Detached())
        self._wait_set = None

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
        context, handle = self._node.context, self._client.handle
        deadline = time.monotonic() + timeout_s
        with LateInterrupt() as interrupt, context.handle, handle:
            if self._wait_set is None:
                self._wait_set = _rclpy.WaitSet(0, 0, 0, 1, 0, 0, context.handle)
            sequence = handle.send_request(request)
            while context.ok() and not interrupt.pressed:
                left = deadline - time.monotonic()
                if left <= 0:
                    break
                self._wait_set.clear_entities()
                self._wait_set.add_client(handle)
                # In slices, so that Ctrl-C is seen.
                self._wait_set.wait(int(min(left, 0.2) * 1e9))
                header, response = handle.take_response(self._client.srv_type.Response)
                if header is None:
                    self._watch()
                if header is not None and header.request_id.sequence_number == sequence:
                    return response
                if header is None and not self._client.service_is_ready():
                    raise TimedOut(f"{self.name} went away while it was asked")
        raise TimedOut(f"no answer from {self.name} within {timeout_s:g} s")

    def _call_with_executor(self, request: Any, timeout_s: float) -> Any:
        self._client.callback_group.can_execute = lambda entity: True
        self._client.callback_group.beginning_execution = lambda entity: True
        future = self._client.call_async(request)
        deadline = time.monotonic() + timeout_s
        while not future.done() and time.monotonic() < deadline:
            _spin_stock(self._node, 0.05)
            self._watch()
        if not future.done():
            self._client.remove_pending_request(future)
            raise TimedOut(f"no answer from {self.name} within {timeout_s:g} s")
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

    def __init__(self, node: Node, msg_type: type, topic: str, profile: QoSProfile) -> None:
        self._node = node
        self._arrived: deque[Any] = deque()
        self._subscription = node.create_subscription(
            msg_type, topic, self._keep, profile, callback_group=Detached()
        )
        self._wait_set = None

    def _keep(self, message: Any) -> None:
        self._arrived.append(message)

    def take(self, timeout_s: float) -> Any:
        """The next message; TimedOut when none came."""
        deadline = time.monotonic() + timeout_s
        while self._node.context.ok():
            left = deadline - time.monotonic()
            if left <= 0:
                break
            message = self._poll(min(left, 0.2))
            if message is not None:
                return message
        raise TimedOut(f"nothing on {self._subscription.topic_name} within {timeout_s:g} s")

    def _poll(self, timeout_s: float) -> Any:
        if not HAVE_WAIT_SET:
            self._subscription.callback_group.can_execute = lambda entity: True
            self._subscription.callback_group.beginning_execution = lambda entity: True
            _spin_stock(self._node, timeout_s)
            return self._arrived.popleft() if self._arrived else None
        context, handle = self._node.context, self._subscription.handle
        with LateInterrupt(), context.handle, handle:
            if self._wait_set is None:
                self._wait_set = _rclpy.WaitSet(1, 0, 0, 0, 0, 0, context.handle)
            self._wait_set.clear_entities()
            self._wait_set.add_subscription(handle)
            self._wait_set.wait(int(timeout_s * 1e9))
            taken = handle.take_message(self._subscription.msg_type, False)
        return taken[0] if taken else None

    def destroy(self) -> None:
        self._node.destroy_subscription(self._subscription)


def _spin_stock(node: Node, timeout_s: float) -> None:
    executor = SingleThreadedExecutor(context=node.context)
    executor.add_node(node)
    try:
        executor.spin_once(timeout_sec=timeout_s)
    except ExternalShutdownException:
        pass
    finally:
        executor.remove_node(node)
        executor.shutdown()


class ServiceLoop:
    """Serves a node's time-critical services in the thread that calls ``spin_once``.

    ``after_reply`` runs after each answer was sent: work that no client should wait for.
    """

    def __init__(self, node: Node, after_reply: Callable[[], None] = lambda: None) -> None:
        self._node = node
        self._context: Context = node.context
        self._after_reply = after_reply
        self._services: list[tuple[Service, Callable[..., Any]]] = []
        self._deferred: set[Service] = set()
        self._posted: deque[Callable[[], None]] = deque()
        self._group = Detached()
        self._guard = node.create_guard_condition(lambda: None, self._group)
        self._wait_set = None

    def add(self, srv_type: type, name: str, handler: Callable[[Any], Any]) -> None:
        """``handler`` takes the request and returns the response; it must not raise."""

        def callback(request: Any, response: Any) -> Any:
            return handler(request)

        service = self._node.create_service(srv_type, name, callback, callback_group=self._group)
        self._services.append((service, handler))

    def add_deferred(
        self, srv_type: type, name: str, handler: Callable[[Any, Callable[[Any], None]], None]
    ) -> None:
        """``handler(request, reply)`` must not raise and must see to it that ``reply(response)``
        is called once, from any thread; the loop goes on meanwhile."""

        def callback(request: Any, response: Any) -> Any:
            replies: SimpleQueue[Any] = SimpleQueue()
            handler(request, replies.put)
            return replies.get()

        service = self._node.create_service(srv_type, name, callback, callback_group=self._group)
        self._services.append((service, handler))
        self._deferred.add(service)

    def post(self, work: Callable[[], None]) -> None:
        """Run ``work`` in the loop's thread soon. From any thread."""
        self._posted.append(work)
        self._guard.trigger()

    def spin_once(self, timeout_s: float) -> None:
        """Wait at most ``timeout_s`` for requests and posted work, and serve all that came."""
        if not HAVE_WAIT_SET:
            self._spin_stock(timeout_s)
        else:
            for service, handler in self._ready(timeout_s):
                self._serve(service, handler)
        while self._posted:
            self._posted.popleft()()

    def _ready(self, timeout_s: float) -> list[tuple[Service, Callable[..., Any]]]:
        with self._context.handle, self._guard.handle:
            if self._wait_set is None:
                sizes = (0, 1, 0, 0, len(self._services), 0)
                self._wait_set = _rclpy.WaitSet(*sizes, self._context.handle)
            wait_set = self._wait_set
            wait_set.clear_entities()
            wait_set.add_guard_condition(self._guard.handle)
            for service, _ in self._services:
                wait_set.add_service(service.handle)
            wait_set.wait(int(timeout_s * 1e9))
            ready = wait_set.get_ready_entities("service")
        return [pair for pair in self._services if pair[0].handle.pointer in ready]

    def _serve(self, service: Service, handler: Callable[..., Any]) -> None:
        with service.handle:
            request, header = service.handle.service_take_request(service.srv_type.Request)
        if request is None or header is None:
            return
        if service in self._deferred:
            handler(request, lambda response: service.send_response(response, header))
            return
        service.send_response(handler(request), header)
        self._after_reply()

    def _spin_stock(self, timeout_s: float) -> None:
        self._group.can_execute = lambda entity: True
        self._group.beginning_execution = lambda entity: True
        _spin_stock(self._node, timeout_s)
        self._after_reply()
