"""Topics into the feed."""

from __future__ import annotations

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.node import Node
from rclpy.subscription import Subscription
from sensor_msgs.msg import CompressedImage, Image
from sim_interfaces import msg as m

from mujoco_mirror.monitor.feed import MonitorFeed
from mujoco_mirror.monitor.samples import ChunkSample, Health, StepSample
from mujoco_mirror.monitor.video import Picture, VideoFeed
from sim_bridge import names
from sim_bridge.ros import qos
from sim_bridge.ros.convert import from_state_msg, from_time
from sim_bridge.ros.convert_spec import from_spec_msg
from sim_bridge.ros.images import from_image_msg

_LOOK_PERIOD_S = 0.5


class FeedSubscriptions:
    """Everything but the video."""

    def __init__(self, node: Node, feed: MonitorFeed) -> None:
        self._feed = feed
        subscribe = node.create_subscription
        subscribe(m.SimSpec, names.SPEC, self._on_spec, qos.LATCHED)
        subscribe(m.SimState, names.STATE, self._on_state, qos.EVERY_STEP)
        subscribe(m.StepInfo, names.STEP_INFO, self._on_step, qos.EVERY_STEP)
        subscribe(m.StepInfo, names.VERDICT, self._on_verdict, qos.LATCHED)
        subscribe(DiagnosticStatus, names.CHUNK_INFO, self._on_chunk, qos.EVERY_STEP)
        subscribe(DiagnosticArray, names.DIAGNOSTICS, self._on_health, qos.ROBOT_STATE)

    def _on_spec(self, msg: m.SimSpec) -> None:
        self._feed.on_spec(from_spec_msg(msg))

    def _on_state(self, msg: m.SimState) -> None:
        self._feed.on_state(from_state_msg(msg))

    def _on_step(self, msg: m.StepInfo) -> None:
        self._feed.on_step(
            StepSample(
                episode=msg.episode,
                step=msg.step,
                action=np.array(msg.action),
                reward=msg.reward,
                terminated=msg.terminated,
                truncated=msg.truncated,
                success=msg.success,
                wall_time_s=msg.wall_time,
            )
        )

    def _on_verdict(self, msg: m.StepInfo) -> None:
        if msg.success:
            self._feed.on_verdict(msg.episode)

    def _on_chunk(self, msg: DiagnosticStatus) -> None:
        values = {pair.key: pair.value for pair in msg.values}
        try:
            sample = ChunkSample(
                episode=int(values["episode"]),
                step=int(values["observation_step"]),
                inference_s=float(values["inference_time"]),
                queue_s=float(values.get("queue_time", 0.0)),
                policy=_policy(msg.message, values.get("policy", "")),
            )
        except (KeyError, ValueError):
            return  # not what the rollout publishes
        self._feed.on_chunk(sample)

    def _on_health(self, msg: DiagnosticArray) -> None:
        self._feed.on_health(_health(status) for status in msg.status)


class VideoSubscription:
    """The picture, only while it is wanted: nobody draws what nobody subscribes to.

    Compressed where somebody publishes that, raw otherwise.
    """

    def __init__(self, node: Node, topic: str, feed: MonitorFeed, video: VideoFeed) -> None:
        self._node = node
        self._topic = topic
        self._feed = feed
        self._video = video
        self._subscription: Subscription | None = None
        node.create_timer(_LOOK_PERIOD_S, self._look)

    def _look(self) -> None:
        """Follow viewers and publishers as they come and go."""
        kind = self._kind() if self._video.wanted() else None
        if kind is None:
            self._feed.on_no_pictures()
        if self._subscription is not None and self._subscription.msg_type is not kind:
            self._node.destroy_subscription(self._subscription)
            self._subscription = None
        if self._subscription is None and kind is not None:
            topic = self._topic if kind is Image else f"{self._topic}/compressed"
            callback = self._on_raw if kind is Image else self._on_compressed
            self._subscription = self._node.create_subscription(kind, topic, callback, qos.IMAGES)

    def _kind(self) -> type:
        compressed = self._node.count_publishers(f"{self._topic}/compressed")
        return CompressedImage if compressed else Image

    def _on_raw(self, msg: Image) -> None:
        try:
            image = from_image_msg(msg)
        except ValueError as error:
            self._node.get_logger().warning(f"{self._topic}: {error}", once=True)
            return
        self._take(msg, Picture(image=_eight_bit(image)))

    def _on_compressed(self, msg: CompressedImage) -> None:
        self._take(msg, Picture(jpeg=bytes(msg.data)))

    def _take(self, msg: Image | CompressedImage, picture: Picture) -> None:
        self._feed.on_picture(from_time(msg.header.stamp))
        self._video.put(picture)


def _policy(kind: str, description: str) -> str:
    """For people; the description has the address where there is one."""
    return description if description.startswith(kind) else f"{kind}: {description}".rstrip(": ")


def _health(status: DiagnosticStatus) -> Health:
    return Health(
        name=status.name,
        level=int.from_bytes(status.level, "little"),
        message=status.message,
        values=tuple((pair.key, pair.value) for pair in status.values),
    )


def _eight_bit(image: np.ndarray) -> np.ndarray:
    """RGB or grey uint8; deeper images are stretched to their own range."""
    if image.ndim == 3:
        return image[:, :, :3]
    if image.dtype == np.uint8:
        return image
    finite = np.nan_to_num(image.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    return (255.0 * finite / max(float(finite.max()), 1e-9)).clip(0, 255).astype(np.uint8)
