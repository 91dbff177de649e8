"""States from a rosbag2 recording (MCAP or SQLite), read in pure Python without ROS."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rosbags.highlevel import AnyReader, AnyReaderError
from rosbags.rosbag2 import ReaderError
from rosbags.typesys import Stores, get_typestore

from mujoco_mirror.sources.joint_source import JointSource
from mujoco_mirror.sources.transforms import frames
from sim_bridge.errors import InvalidRequest, NotFound
from sim_bridge.ros.convert import from_state_msg, from_time
from sim_bridge.types import SimState

_STATE = "sim_interfaces/msg/SimState"
_JOINTS = "sensor_msgs/msg/JointState"
_TF = "tf2_msgs/msg/TFMessage"


def bag_states(
    path: Path, topic: str = "", bases: Sequence[str] = (), root: str = "world"
) -> Iterator[SimState]:
    """All states of a bag in order of their recording.

    From SimState messages when there are any, else from joint states, with the poses of ``bases``
    from tf. ``topic`` chooses when a bag holds several. Raises NotFound and InvalidRequest.
    """
    if not path.exists():
        raise NotFound(f"no bag {path}")
    try:
        with AnyReader([path], default_typestore=get_typestore(Stores.ROS2_JAZZY)) as reader:
            yield from _states(reader, topic, JointSource(bases, root))
    except (AnyReaderError, ReaderError, OSError) as error:
        raise InvalidRequest(f"bag {path}: {error}") from None


def _states(reader: AnyReader, topic: str, joints: JointSource) -> Iterator[SimState]:
    kind, chosen = _choose(reader, topic)
    wanted = [c for c in reader.connections if c.topic == chosen or c.msgtype == _TF]
    for connection, _, data in reader.messages(connections=wanted):
        message: Any = reader.deserialize(data, connection.msgtype)
        if connection.msgtype == _TF:
            for parent, child, pose in frames(message.transforms):
                joints.tf.put(parent, child, pose)
        elif kind == _STATE:
            yield from_state_msg(message)
        else:
            state = joints.on_joints(
                from_time(message.header.stamp), message.name, message.position, message.velocity
            )
            if state is not None:
                yield state


def _choose(reader: AnyReader, topic: str) -> tuple[str, str]:
    known = [(c.msgtype, c.topic) for c in reader.connections if c.msgtype in (_STATE, _JOINTS)]
    for kind in (_STATE, _JOINTS):
        topics = sorted({t for k, t in known if k == kind})
        if topic in topics:
            return kind, topic
        if topics and not topic:
            if len(topics) > 1:
                raise InvalidRequest(f"the bag has several topics of {kind}: {', '.join(topics)}")
            return kind, topics[0]
    listed = ", ".join(t for _, t in known) or "none"
    raise NotFound(f"no states on topic {topic or 'any'!r} in the bag; valid: {listed}")
