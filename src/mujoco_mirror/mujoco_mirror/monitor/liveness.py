"""Tells a simulator that nobody steps from one that is gone."""

from __future__ import annotations

import time

from rcl_interfaces.srv import GetParameters
from rclpy.client import Client
from rclpy.node import Node
from rclpy.task import Future

from mujoco_mirror.monitor.feed import MonitorFeed
from sim_bridge import names

_PERIOD_S = 0.3
_GIVE_UP_S = 2.0


class LivenessProbe:
    """Asks the publisher of ``state`` for no parameters at all, while no states come.

    Every ROS node answers that, whatever simulator it hosts; discovery alone would go on
    listing a killed process for seconds.
    """

    def __init__(self, node: Node, feed: MonitorFeed) -> None:
        self._node = node
        self._feed = feed
        self._client: Client | None = None
        self._pending: tuple[Client, Future] | None = None
        self._asked = 0.0
        node.create_timer(_PERIOD_S, self._probe)

    def _probe(self) -> None:
        if self._feed.state_age_s() < _PERIOD_S:
            return
        if self._pending is not None and time.monotonic() - self._asked < _GIVE_UP_S:
            return
        client = self._find()
        if client is None or not client.service_is_ready():
            return
        self._drop_pending()
        self._asked = time.monotonic()
        future = client.call_async(GetParameters.Request())
        self._pending = client, future
        future.add_done_callback(self._on_answer)

    def _on_answer(self, future: Future) -> None:
        self._pending = None
        if not future.cancelled() and future.exception() is None:
            self._feed.on_alive()

    def _drop_pending(self) -> None:
        if self._pending is not None:
            (client, future), self._pending = self._pending, None
            client.remove_pending_request(future)

    def _find(self) -> Client | None:
        """The client of whichever node publishes the state now."""
        for publisher in self._node.get_publishers_info_by_topic(
            self._node.resolve_topic_name(names.STATE)
        ):
            owner = f"{publisher.node_namespace.rstrip('/')}/{publisher.node_name}"
            service = f"{owner}/get_parameters"
            if self._client is not None and self._client.srv_name == service:
                return self._client
            if self._client is not None:
                self._drop_pending()
                self._node.destroy_client(self._client)
            self._client = self._node.create_client(GetParameters, service)
            return self._client
        return None
