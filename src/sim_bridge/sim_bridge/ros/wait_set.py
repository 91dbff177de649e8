"""rclpy's wait set: its private API, all that we use of it, and nothing else.

``HAVE_WAIT_SET`` is False where it is missing or has changed; then use an executor. The objects
here belong to one thread each.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rclpy.client import Client
from rclpy.context import Context
from rclpy.guard_condition import GuardCondition
from rclpy.service import Service
from rclpy.subscription import Subscription

try:
    from rclpy.impl.implementation_singleton import rclpy_implementation as _rclpy

    HAVE_WAIT_SET = hasattr(_rclpy, "WaitSet") and hasattr(_rclpy.Service, "service_take_request")
except ImportError:
    HAVE_WAIT_SET = False


class _Wait:
    """Entered while in use: rclpy then keeps context and entity alive."""

    def __init__(self, entity: Any, context: Context, *sizes: int) -> None:
        self._handle = entity.handle
        assert context.handle is not None  # it has none before its init
        self._context = context.handle
        with self._context:
            wait_set: Any = _rclpy.WaitSet  # typed, and otherwise, by Kilted alone
            self._wait_set = wait_set(*sizes, self._context)

    def __enter__(self) -> Any:
        self._context.__enter__()
        try:
            self._handle.__enter__()
        except BaseException:
            self._context.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._handle.__exit__(None, None, None)
        self._context.__exit__(None, None, None)


class ClientWait(_Wait):
    """Requests and replies of one client."""

    def __init__(self, client: Client, context: Context) -> None:
        super().__init__(client, context, 0, 0, 0, 1, 0, 0)
        srv_type: Any = client.srv_type
        self._response_type = srv_type.Response

    def send(self, request: Any) -> int:
        """The number under which the reply will come."""
        return self._handle.send_request(request)

    def take(self, timeout_s: float) -> tuple[int | None, Any]:
        """A reply and its number; None and None when none came."""
        wait_set = self._wait_set
        wait_set.clear_entities()
        wait_set.add_client(self._handle)
        wait_set.wait(int(timeout_s * 1e9))
        header, response = self._handle.take_response(self._response_type)
        return (None if header is None else header.request_id.sequence_number), response


class SubscriptionWait(_Wait):
    """Messages of one subscription."""

    def __init__(self, subscription: Subscription, context: Context) -> None:
        super().__init__(subscription, context, 1, 0, 0, 0, 0, 0)
        self._msg_type = subscription.msg_type

    def take(self, timeout_s: float) -> Any:
        """None when nothing came."""
        self._wait_set.clear_entities()
        self._wait_set.add_subscription(self._handle)
        self._wait_set.wait(int(timeout_s * 1e9))
        taken = self._handle.take_message(self._msg_type, False)
        return taken[0] if taken else None


class ServicesWait(_Wait):
    """Requests to a fixed set of services; triggering ``guard`` ends a wait early."""

    def __init__(
        self, services: Sequence[Service], guard: GuardCondition, context: Context
    ) -> None:
        super().__init__(guard, context, 0, 1, 0, 0, len(services), 0)
        self._services = [service.handle for service in services]

    def ready(self, timeout_s: float) -> list[int]:
        """Indices of the services that have a request."""
        with self:
            wait_set = self._wait_set
            wait_set.clear_entities()
            wait_set.add_guard_condition(self._handle)
            for handle in self._services:
                wait_set.add_service(handle)
            wait_set.wait(int(timeout_s * 1e9))
            ready = wait_set.get_ready_entities("service")
        return [i for i, handle in enumerate(self._services) if handle.pointer in ready]


def take_request(service: Service) -> tuple[Any, Any]:
    """A request and the header to answer it with; None twice when there is none."""
    srv_type: Any = service.srv_type
    with service.handle:
        return service.handle.service_take_request(srv_type.Request)
