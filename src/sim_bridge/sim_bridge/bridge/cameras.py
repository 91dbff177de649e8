"""Camera topics: pictures are drawn only for those who listen, at each camera's own rate."""

from __future__ import annotations

import re
from array import array

import numpy as np
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from sim_bridge import names
from sim_bridge.bridge.camera_schedule import CameraSchedule
from sim_bridge.bridge.parameters import BridgeParameters, CameraParameters, camera_prefix
from sim_bridge.errors import BridgeError
from sim_bridge.ros import qos
from sim_bridge.ros.convert import to_time
from sim_bridge.ros.images import encode_jpeg
from sim_bridge.ros.parameters import read_parameters
from sim_bridge.simulators.protocol import Simulator
from sim_bridge.types import CameraSpec


class CameraPublishers:
    """``image_raw``, ``image_raw/compressed`` and ``camera_info`` of every camera.

    ``node`` gets a parameter ``camera.<name>.rate_hz`` for each; InvalidRequest when it is not
    valid. Call ``publish`` in the simulator's thread while the scene is the one to show.
    """

    def __init__(self, node: Node, simulator: Simulator, parameters: BridgeParameters) -> None:
        self._simulator = simulator
        self._log = node.get_logger()
        self._cameras = [_Camera(node, camera, parameters) for camera in simulator.spec.cameras]

    def heard(self) -> bool:
        return any(camera.heard() for camera in self._cameras)

    def publish(self, time_s: float) -> None:
        """Draw and send what is due at the simulation time ``time_s``."""
        for camera in self._cameras:
            if camera.heard() and camera.schedule.due(time_s):
                camera.publish(time_s, self._draw(camera.name) if camera.seen() else None)

    def _draw(self, name: str) -> np.ndarray | None:
        try:
            return self._simulator.render(name)
        except BridgeError as error:
            self._log.error(f"no pictures of camera {name!r}: {error}", once=True)
            return None


class _Camera:
    def __init__(self, node: Node, spec: CameraSpec, parameters: BridgeParameters) -> None:
        topic = re.sub(r"\W", "_", spec.name, flags=re.ASCII)
        own = read_parameters(
            node, CameraParameters, camera_prefix(topic), rate_hz=parameters.camera_rate_hz
        )
        image_topic = names.CAMERA_IMAGE.format(topic)
        self.name = spec.name
        self.schedule = CameraSchedule(own.rate_hz)
        self._quality = parameters.jpeg_quality
        self._raw = node.create_publisher(Image, image_topic, qos.IMAGES)
        self._jpeg = node.create_publisher(CompressedImage, f"{image_topic}/compressed", qos.IMAGES)
        self._info = node.create_publisher(CameraInfo, names.CAMERA_INFO.format(topic), qos.IMAGES)
        self._info_msg = to_camera_info_msg(spec)
        self._image_msg = Image(height=spec.height, width=spec.width, step=3 * spec.width)
        self._image_msg.encoding = "rgb8"
        self._image_msg.header.frame_id = spec.frame_id
        # Overwritten for each picture: a fresh message of this size costs twice the time.
        self._image_msg.data = array("B", bytes(3 * spec.width * spec.height))

    def seen(self) -> bool:
        """Whether anybody wants pictures."""
        return any(p.get_subscription_count() for p in (self._raw, self._jpeg))

    def heard(self) -> bool:
        return self.seen() or self._info.get_subscription_count() > 0

    def publish(self, time_s: float, image: np.ndarray | None) -> None:
        """``image (h, w, 3)`` RGB uint8; None sends the ``camera_info`` alone."""
        stamp = to_time(time_s)
        if self._info.get_subscription_count():
            self._info_msg.header.stamp = stamp
            self._info.publish(self._info_msg)
        if image is not None and self._raw.get_subscription_count():
            self._image_msg.header.stamp = stamp
            np.copyto(np.frombuffer(self._image_msg.data, np.uint8), image.reshape(-1))
            self._raw.publish(self._image_msg)
        if image is not None and self._jpeg.get_subscription_count():
            jpeg = encode_jpeg(image, self._quality)
            jpeg.header.stamp, jpeg.header.frame_id = stamp, self._image_msg.header.frame_id
            self._jpeg.publish(jpeg)


def to_camera_info_msg(spec: CameraSpec) -> CameraInfo:
    """A pinhole camera without distortion; REP 104 leaves R the identity and P = [K | 0]."""
    out = CameraInfo(width=spec.width, height=spec.height, distortion_model="plumb_bob")
    out.header.frame_id = spec.frame_id
    out.d = [0.0] * 5
    out.k = [spec.fx, 0.0, spec.cx, 0.0, spec.fy, spec.cy, 0.0, 0.0, 1.0]
    out.r = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
    out.p = [spec.fx, 0.0, spec.cx, 0.0, 0.0, spec.fy, spec.cy, 0.0, 0.0, 0.0, 1.0, 0.0]
    return out
