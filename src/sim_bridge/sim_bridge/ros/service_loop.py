"""A node's time-critical services, served without an executor."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

from rclpy.node import Node
from rclpy.service import Service

from sim_bridge.ros.calls import Detached, spin_stock
from sim_bridge.ros.wait_set import HAVE_WAIT_SET, ServicesWait, take_request


class ServiceLoop:
    """Serves a node's time-critical services in the thread that calls ``spin_once``.

    ``after_reply`` runs after each answer was sent: work that no client should wait for.
    """

    def __init__(self, node: Node, after_reply: Callable[[], None] = lambda: None) -> None:
        self._node = node
        self._after_reply = after_reply
        self._services: list[tuple[Service, Callable[..., Any]]] = []
        self._deferred: set[Service] = set()
        self._posted: deque[Callable[[], None]] = deque()
        self._group = Detached()
        self._guard = node.create_guard_condition(lambda: None, self._group)
        self._wait: ServicesWait | None = None

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
            if self._wait is None:
                services = [service for service, _ in self._services]
                self._wait = ServicesWait(services, self._guard, self._node.context)
            for index in self._wait.ready(timeout_s):
                self._serve(*self._services[index])
        while self._posted:
            self._posted.popleft()()

    def _serve(self, service: Service, handler: Callable[..., Any]) -> None:
        request, header = take_request(service)
        if request is None or header is None:
            return
        if service in self._deferred:
            handler(request, lambda response: service.send_response(response, header))
            return
        service.send_response(handler(request), header)
        self._after_reply()

    def _spin_stock(self, timeout_s: float) -> None:
        self._group.attached = True
        spin_stock(self._node, timeout_s)
        self._after_reply()
