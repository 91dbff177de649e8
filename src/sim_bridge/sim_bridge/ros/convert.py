"""Messages to dataclasses and back, in one place.

Number sequences go through ``array.array``: assigning an ndarray to a message field makes
rclpy check every element in Python, which costs a hundred times more.
"""

from __future__ import annotations

from array import array
from functools import cache
from typing import Any

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Pose, Quaternion, Transform, TransformStamped, Twist, Vector3
from sensor_msgs.msg import JointState
from sim_interfaces import msg as m

from sim_bridge import types as t
from sim_bridge.names import WORLD_FRAME
from sim_bridge.ros.images import decode_jpeg, encode_jpeg, from_image_msg, to_image_msg


def doubles(values) -> array:
    """A float64 message field from anything numpy can read."""
    return array("d", np.ascontiguousarray(values, dtype=np.float64).tobytes())


def to_time(time_s: float) -> Time:
    nanoseconds = round(time_s * 1e9)
    return Time(sec=nanoseconds // 1_000_000_000, nanosec=nanoseconds % 1_000_000_000)


def from_time(stamp: Time) -> float:
    """Seconds."""
    return stamp.sec + stamp.nanosec * 1e-9


def to_pose(pose: np.ndarray) -> Pose:
    """``pose (7,)`` as [x y z qx qy qz qw]."""
    out = Pose()
    p, q = out.position, out.orientation
    p.x, p.y, p.z, q.x, q.y, q.z, q.w = pose.tolist()
    return out


def from_pose(pose: Pose) -> list[float]:
    p, q = pose.position, pose.orientation
    return [p.x, p.y, p.z, q.x, q.y, q.z, q.w]


def to_twist(twist: np.ndarray) -> Twist:
    """``twist (6,)`` as [vx vy vz wx wy wz]."""
    out = Twist()
    v, w = out.linear, out.angular
    v.x, v.y, v.z, w.x, w.y, w.z = twist.tolist()
    return out


def from_twist(twist: Twist) -> list[float]:
    v, w = twist.linear, twist.angular
    return [v.x, v.y, v.z, w.x, w.y, w.z]


def to_quaternion(xyzw: np.ndarray) -> Quaternion:
    x, y, z, w = xyzw.tolist()
    return Quaternion(x=x, y=y, z=z, w=w)


def to_vector(vector: np.ndarray) -> Vector3:
    x, y, z = vector.tolist()
    return Vector3(x=x, y=y, z=z)


def to_state_msg(state: t.SimState) -> m.SimState:
    out = m.SimState()
    out.header.stamp = to_time(state.time_s)
    out.header.frame_id = WORLD_FRAME
    out.episode, out.step = state.episode, state.step
    out.joint_names = list(state.joint_names)
    out.joint_positions = doubles(state.joint_positions)
    out.joint_velocities = doubles(state.joint_velocities)
    out.body_names = list(state.body_names)
    out.body_poses = [to_pose(p) for p in state.body_poses]
    out.body_twists = [to_twist(v) for v in state.body_twists]
    if state.ball_names:
        out.ball_names = list(state.ball_names)
        out.ball_rotations = [to_quaternion(q) for q in state.ball_rotations]
        out.ball_velocities = [to_vector(v) for v in state.ball_velocities]
    out.target_names = list(state.target_names)
    out.target_positions = doubles(state.target_positions)
    out.native_format = state.native_format
    out.native = array("B", state.native)
    return out


def from_state_msg(state: m.SimState) -> t.SimState:
    return t.SimState(
        time_s=from_time(state.header.stamp),
        episode=state.episode,
        step=state.step,
        joint_names=tuple(state.joint_names),
        joint_positions=np.array(state.joint_positions),
        joint_velocities=np.array(state.joint_velocities),
        body_names=tuple(state.body_names),
        body_poses=np.array([from_pose(p) for p in state.body_poses]).reshape(-1, 7),
        body_twists=np.array([from_twist(v) for v in state.body_twists]).reshape(-1, 6),
        **_from_balls(state),
        target_names=tuple(state.target_names),
        target_positions=np.array(state.target_positions),
        native_format=state.native_format,
        native=bytes(state.native),
    )


def _from_balls(state: m.SimState) -> dict[str, Any]:
    """Nothing from a bag that was recorded before states had ball joints."""
    names = tuple(getattr(state, "ball_names", ()))
    turns = [[q.x, q.y, q.z, q.w] for q in state.ball_rotations] if names else []
    rates = [[v.x, v.y, v.z] for v in state.ball_velocities] if names else []
    return {
        "ball_names": names,
        "ball_rotations": np.array(turns).reshape(-1, 4),
        "ball_velocities": np.array(rates).reshape(-1, 3),
    }


# numpy works the name out each time, which takes longer than the rest of the array's message.
_dtype_name = cache(str)


def to_arrays_msg(arrays: dict[str, np.ndarray]) -> list[m.FloatArray]:
    return [
        m.FloatArray(name=name, dtype=_dtype_name(a.dtype), shape=a.shape, data=doubles(a))
        for name, a in ((name, np.asarray(a)) for name, a in arrays.items())
    ]


def from_arrays_msg(arrays: list[m.FloatArray]) -> dict[str, np.ndarray]:
    """Arrays with the dtype and shape they had; ValueError when data and shape disagree."""
    return {a.name: np.array(a.data).reshape(a.shape).astype(a.dtype, copy=False) for a in arrays}


def to_observation_msg(
    observation: t.Observation,
    jpeg: bool = False,
    quality: int = 90,
    out: m.Observation | None = None,
) -> m.Observation:
    """``jpeg`` sends the images compressed. Fills ``out``, the empty field of a request, if given:
    making one and putting it in its place costs the making of two."""
    out = out or m.Observation()
    out.header.stamp = to_time(observation.time_s)
    out.header.frame_id = WORLD_FRAME
    out.episode, out.step = observation.episode, observation.step
    out.joint_names = list(observation.joint_names)
    out.joint_positions = doubles(observation.joint_positions)
    out.joint_velocities = doubles(observation.joint_velocities)
    out.arrays = to_arrays_msg(observation.arrays)
    out.instruction = observation.instruction
    keys = list(observation.images)
    if jpeg:
        out.compressed_image_keys = keys
        out.compressed_images = [encode_jpeg(i, quality) for i in observation.images.values()]
    else:
        out.raw_image_keys = keys
        out.raw_images = [to_image_msg(i) for i in observation.images.values()]
    return out


def from_observation_msg(observation: m.Observation) -> t.Observation:
    """ValueError when arrays or images are malformed."""
    images = {
        key: from_image_msg(image)
        for key, image in zip(observation.raw_image_keys, observation.raw_images, strict=True)
    }
    for key, image in zip(
        observation.compressed_image_keys, observation.compressed_images, strict=True
    ):
        images[key] = decode_jpeg(image)
    return t.Observation(
        time_s=from_time(observation.header.stamp),
        episode=observation.episode,
        step=observation.step,
        joint_names=tuple(observation.joint_names),
        joint_positions=np.array(observation.joint_positions),
        joint_velocities=np.array(observation.joint_velocities),
        images=images,
        arrays=from_arrays_msg(observation.arrays),
        instruction=observation.instruction,
    )


def to_chunk_msg(chunk: t.ActionChunk, out: m.ActionChunk | None = None) -> m.ActionChunk:
    """Fills ``out`` if given, like ``to_observation_msg``."""
    out = out or m.ActionChunk()
    out.observation_stamp = to_time(chunk.observation_time_s)
    out.observation_step = chunk.observation_step
    out.action_names = list(chunk.action_names)
    out.dt = chunk.dt_s
    out.horizon = len(chunk.actions)
    out.actions = doubles(chunk.actions)
    return out


def from_chunk_msg(chunk: m.ActionChunk) -> t.ActionChunk:
    """ValueError when the number of actions does not fit horizon and names."""
    return t.ActionChunk(
        actions=np.array(chunk.actions).reshape(chunk.horizon, len(chunk.action_names)),
        action_names=tuple(chunk.action_names),
        dt_s=chunk.dt,
        observation_time_s=from_time(chunk.observation_stamp),
        observation_step=chunk.observation_step,
    )


def to_step_info_msg(
    state: t.SimState, action: np.ndarray, outcome: t.StepOutcome, wall_time_s: float
) -> m.StepInfo:
    out = m.StepInfo()
    out.header.stamp = to_time(state.time_s)
    out.header.frame_id = WORLD_FRAME
    out.episode, out.step = state.episode, state.step
    out.action = doubles(action)
    out.reward = float(outcome.reward)
    out.terminated, out.truncated = outcome.terminated, outcome.truncated
    out.success = outcome.success
    out.wall_time = wall_time_s
    return out


_OUTCOME = ("seed", "success", "terminated", "truncated", "steps", "total_reward")
_TIMES = {name: f"{name}_s" for name in ("wall_time", "sim_wall_time", "inference_time")}


def to_episode_msg(result: t.EpisodeResult, index: int = 0) -> m.EpisodeResult:
    outcome = {name: getattr(result, name) for name in _OUTCOME}
    times = {field: getattr(result, name) for field, name in _TIMES.items()}
    return m.EpisodeResult(index=index, **outcome, **times)


def from_episode_msg(episode: m.EpisodeResult) -> t.EpisodeResult:
    outcome = {name: getattr(episode, name) for name in _OUTCOME}
    times = {name: getattr(episode, field) for field, name in _TIMES.items()}
    return t.EpisodeResult(**outcome, **times)


def to_joint_state_msg(state: t.SimState) -> JointState:
    out = JointState()
    out.header.stamp = to_time(state.time_s)
    out.name = list(state.joint_names)
    out.position = doubles(state.joint_positions)
    out.velocity = doubles(state.joint_velocities)
    return out


def to_transforms(links: t.LinkPoses, time_s: float) -> list[TransformStamped]:
    """One transform world -> link for every link."""
    stamp = to_time(time_s)
    out = []
    for name, pose in zip(links.names, links.poses.tolist(), strict=True):
        stamped = TransformStamped(child_frame_id=name, transform=Transform())
        stamped.header.stamp = stamp
        stamped.header.frame_id = WORLD_FRAME
        p, q = stamped.transform.translation, stamped.transform.rotation
        p.x, p.y, p.z, q.x, q.y, q.z, q.w = pose
        out.append(stamped)
    return out
