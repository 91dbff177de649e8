"""Live pictures on their way out: raw and compressed topics, and the window."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from rclpy.event_handler import PublisherEventCallbacks, QoSPublisherMatchedInfo
from rclpy.node import Node
from rclpy.publisher import Publisher
from sensor_msgs.msg import CompressedImage, Image

from mujoco_mirror.drawing.view import View
from mujoco_mirror.drawing.viewer import Viewer
from sim_bridge import names
from sim_bridge.ros import qos
from sim_bridge.ros.convert import to_time
from sim_bridge.ros.images import encode_jpeg, to_image_msg
from sim_bridge.types import SimState


class Pictures:
    """``on_watcher`` is called when one more subscriber has come."""

    def __init__(self, node: Node, on_watcher: Callable[[], None]) -> None:
        self._node = node
        self._on_watcher = on_watcher
        self._viewer: Viewer | None = None
        matched = PublisherEventCallbacks(matched=self._on_matched)
        self._images = node.create_publisher(
            Image, names.MIRROR_IMAGE, qos.IMAGES, event_callbacks=matched
        )
        self._jpegs = node.create_publisher(
            CompressedImage,
            f"{names.MIRROR_IMAGE}/compressed",
            qos.IMAGES,
            event_callbacks=matched,
        )

    def _on_matched(self, matched: QoSPublisherMatchedInfo) -> None:
        if matched.total_count_change > 0:  # another one may have left at the same time
            self._on_watcher()

    def publish(self, image: np.ndarray, state: SimState) -> None:
        """On the worker's thread."""
        self._publish(self._images, to_image_msg, image, state.time_s)
        self._publish(self._jpegs, encode_jpeg, image, state.time_s)
        if self._viewer is not None:
            self._show_in_window(self._viewer)

    def _publish(
        self, publisher: Publisher, convert: Callable[..., Any], image: np.ndarray, time_s: float
    ) -> None:
        if self._while_up(publisher.get_subscription_count):
            message = convert(image)
            message.header.stamp = to_time(time_s)
            message.header.frame_id = "mirror_camera"
            self._while_up(lambda: publisher.publish(message))

    def watched(self) -> bool:
        """Whether anybody looks."""
        counts = (p.get_subscription_count for p in (self._images, self._jpegs))
        return self._viewer is not None or any(self._while_up(count) for count in counts)

    def open_viewer(self, view: View) -> None:
        """Also show this view in a window, instead of the one before."""
        if self._viewer is not None:
            self._viewer.close()
        self._viewer, self._watched_mirror = Viewer(view.scene.drawn), view.mirror

    def _show_in_window(self, viewer: Viewer) -> None:
        """On the worker's thread, which owns the mirror; a closed window ends the viewer only."""
        if viewer.is_open:
            viewer.show(self._watched_mirror.model, self._watched_mirror.data)
        else:
            self._viewer = None

    def _while_up(self, call: Callable[[], Any]) -> Any:
        """Ctrl-C takes the context away while the worker still draws; that is not a failure."""
        try:
            return call() if self._node.context.ok() else None
        except Exception:
            if self._node.context.ok():
                raise
            return None
