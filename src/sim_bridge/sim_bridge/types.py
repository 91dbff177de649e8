"""The data that crosses the bridge, as numpy and dataclasses (no ROS).

Lengths are metres, angles radians, times seconds; quaternions are xyzw; poses are
``[x, y, z, qx, qy, qz, qw]`` and twists ``[vx, vy, vz, wx, wy, wz]``, both in the world frame.
The messages of ``sim_interfaces`` with the same names document each field.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np


def _empty(*shape: int) -> Any:
    return field(default_factory=lambda: np.zeros(shape))


@dataclass(frozen=True)
class SimState:
    """State of a scene at the end of a control step; see ``SimState.msg``.

    Shapes: joints ``(n,)``, ``body_poses (m, 7)``, ``body_twists (m, 6)``, ``ball_rotations
    (b, 4)``, ``ball_velocities (b, 3)``, targets ``(k,)``.
    """

    time_s: float = 0.0
    episode: int = 0
    step: int = 0
    joint_names: tuple[str, ...] = ()
    joint_positions: np.ndarray = _empty(0)
    joint_velocities: np.ndarray = _empty(0)
    body_names: tuple[str, ...] = ()
    body_poses: np.ndarray = _empty(0, 7)
    body_twists: np.ndarray = _empty(0, 6)
    ball_names: tuple[str, ...] = ()
    ball_rotations: np.ndarray = _empty(0, 4)
    ball_velocities: np.ndarray = _empty(0, 3)
    target_names: tuple[str, ...] = ()
    target_positions: np.ndarray = _empty(0)
    native_format: str = ""
    native: bytes = b""

    def with_counters(self, episode: int, step: int) -> SimState:
        return replace(self, episode=episode, step=step)


@dataclass(frozen=True)
class LinkPoses:
    """Poses of named frames in the world, for tf and for fidelity checks.

    ``names`` are ``entity/link``; ``poses`` is ``(n, 7)``.
    """

    names: tuple[str, ...] = ()
    poses: np.ndarray = _empty(0, 7)


@dataclass(frozen=True)
class Observation:
    """What a policy sees; see ``Observation.msg``. Images are RGB ``(h, w, 3)`` uint8."""

    time_s: float = 0.0
    episode: int = 0
    step: int = 0
    joint_names: tuple[str, ...] = ()
    joint_positions: np.ndarray = _empty(0)
    joint_velocities: np.ndarray = _empty(0)
    images: dict[str, np.ndarray] = field(default_factory=dict)
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    instruction: str = ""

    def joint(self, name: str) -> float:
        """Position of the joint ``entity/joint`` [rad or m]; KeyError lists the known ones."""
        try:
            return float(self.joint_positions[self.joint_names.index(name)])
        except ValueError:
            raise KeyError(f"no joint {name!r}; known: {', '.join(self.joint_names)}") from None


@dataclass(frozen=True)
class JointSpec:
    name: str
    revolute: bool
    lower: float
    upper: float


@dataclass(frozen=True)
class ActionSpec:
    """Layout of an action of dimension ``A``; ``low`` and ``high`` are ``(A,)``."""

    names: tuple[str, ...]
    low: np.ndarray
    high: np.ndarray
    units: tuple[str, ...]
    control_mode: str

    @property
    def size(self) -> int:
        return len(self.names)


@dataclass(frozen=True)
class ArraySpec:
    """Layout of one observation array; bounds have one value or one per element."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    low: np.ndarray
    high: np.ndarray


@dataclass(frozen=True)
class CameraSpec:
    """A pinhole camera; ``fx fy cx cy`` and the size are in pixels."""

    name: str
    width: int
    height: int
    frame_id: str
    fx: float
    fy: float
    cx: float
    cy: float


@dataclass(frozen=True)
class ModelReference:
    """Where the kinematic model is; see ``ModelReference.msg``."""

    format: str = ""
    uri: str = ""
    sha256: str = ""


@dataclass(frozen=True)
class SimSpec:
    """What a simulator offers; see ``SimSpec.msg``."""

    simulator: str
    simulator_version: str
    task: str
    instruction: str
    robot_entities: tuple[str, ...]
    base_frames: tuple[str, ...]
    joints: tuple[JointSpec, ...]
    action: ActionSpec
    observations: tuple[ArraySpec, ...]
    control_period_s: float
    max_episode_steps: int = 0
    ball_joints: tuple[str, ...] = ()
    cameras: tuple[CameraSpec, ...] = ()
    model: ModelReference = ModelReference()
    bridge_id: str = ""


@dataclass(frozen=True)
class StepOutcome:
    """What one control step (or a reset, with zeros) gave back; ``arrays`` is the observation."""

    arrays: dict[str, np.ndarray]
    reward: float = 0.0
    terminated: bool = False
    truncated: bool = False
    success: bool = False
    info: dict[str, Any] = field(default_factory=dict)


@dataclass  # frozen would cost a step 1.5 µs
class LeanReply:
    """What control steps led to: of the observation only counters and arrays.

    ``rewards (n,)`` and ``successes (n,)`` have one entry per step taken, so none without a step;
    the rest is as of the last step.
    """

    observation: Observation
    info: dict[str, Any] = field(default_factory=dict)
    rewards: np.ndarray = _empty(0)
    successes: tuple[bool, ...] = ()
    terminated: bool = False
    truncated: bool = False
    sim_wall_time_s: float = 0.0  # of all steps together

    @property
    def success(self) -> bool:
        """The task's verdict after the last step."""
        return bool(self.successes) and self.successes[-1]

    @property
    def done(self) -> bool:
        return self.terminated or self.truncated


@dataclass(kw_only=True)
class StepReply(LeanReply):
    """What a reset, a written state or control steps led to, in this process or over the wire:
    the whole observation, and the state."""

    state: SimState


@dataclass(frozen=True)
class EpisodeResult:
    """What one episode came to; see ``EpisodeResult.msg``. Times are of the whole episode.

    ``canceled``: stopped before its end. ``execution`` holds figures of chunk execution.
    """

    seed: int
    success: bool = False
    terminated: bool = False
    truncated: bool = False
    canceled: bool = False
    steps: int = 0
    total_reward: float = 0.0
    wall_time_s: float = 0.0
    sim_wall_time_s: float = 0.0
    inference_time_s: float = 0.0
    execution: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ActionChunk:
    """``actions (H, A)``; row ``i`` is meant for step ``observation_step + i``."""

    actions: np.ndarray
    action_names: tuple[str, ...]
    dt_s: float
    observation_time_s: float = 0.0
    observation_step: int = 0
