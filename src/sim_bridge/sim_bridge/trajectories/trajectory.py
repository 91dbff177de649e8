"""Recorded trajectories: one internal format, see ``docs/reference/trajectory-format.md``.

A file is a compressed ``.npz`` without pickled objects: a JSON header and numeric arrays.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from sim_bridge.errors import InvalidRequest, NotFound
from sim_bridge.files.output import writing
from sim_bridge.files.safe_npz import read_npz
from sim_bridge.types import SimSpec, SimState

FORMAT = "twinstep-trajectory"
VERSION = 1
SUFFIX = ".npz"


def _empty(*shape: int) -> Any:
    return field(default_factory=lambda: np.zeros(shape))


@dataclass(frozen=True)
class Trajectory:
    """``N`` actions and the ``S`` states around them, with everything needed to replay both.

    ``S`` is ``N + 1`` (a state before every action and one after the last), 1 (only the initial
    state is known) or 0. Shapes: ``actions (N, A)``, ``rewards (N,)``, ``times_s (S,)``, joints
    ``(S, n)``, ``body_poses (S, m, 7)`` xyzw, ``body_twists (S, m, 6)``, targets ``(S, k)``;
    units and frames as in ``SimState``. ``seed`` is the one of the episode's reset, None when
    unknown. ``meta`` holds plain JSON about the origin.

    Raises InvalidRequest when sizes disagree or a number is not finite.
    """

    task: str
    simulator: str
    robot_entities: tuple[str, ...]
    control_period_s: float
    action_names: tuple[str, ...]
    actions: np.ndarray
    rewards: np.ndarray = _empty(0)
    seed: int | None = None
    success: bool = False
    times_s: np.ndarray = _empty(0)
    joint_names: tuple[str, ...] = ()
    joint_positions: np.ndarray = _empty(0, 0)
    joint_velocities: np.ndarray = _empty(0, 0)
    body_names: tuple[str, ...] = ()
    body_poses: np.ndarray = _empty(0, 0, 7)
    body_twists: np.ndarray = _empty(0, 0, 6)
    target_names: tuple[str, ...] = ()
    target_positions: np.ndarray = _empty(0, 0)
    ball_names: tuple[str, ...] = ()
    ball_rotations: np.ndarray = _empty(0, 0, 4)
    ball_velocities: np.ndarray = _empty(0, 0, 3)
    meta: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.num_states not in (0, 1, self.num_steps + 1):
            raise InvalidRequest(
                f"{self.num_states} states for {self.num_steps} actions; "
                f"valid: {self.num_steps + 1}, 1 or 0"
            )
        for name, shape in self._shapes().items():
            array = getattr(self, name)
            if array.shape != shape:
                raise InvalidRequest(f"{name} has shape {array.shape}; valid: {shape}")
            if not np.isfinite(array).all():
                raise InvalidRequest(f"{name} holds NaN or infinite values")
        if not (np.isfinite(self.control_period_s) and self.control_period_s > 0):
            raise InvalidRequest(
                f"control period {self.control_period_s} s; valid: a positive time"
            )

    @property
    def num_steps(self) -> int:
        return len(self.actions)

    @property
    def num_states(self) -> int:
        return len(self.times_s)

    def state(self, index: int) -> SimState:
        """The state after ``index`` steps; IndexError when it was not recorded."""
        if not 0 <= index < self.num_states:
            raise IndexError(f"state {index} of {self.num_states}")
        return SimState(
            time_s=float(self.times_s[index]),
            step=index,
            joint_names=self.joint_names,
            joint_positions=self.joint_positions[index],
            joint_velocities=self.joint_velocities[index],
            body_names=self.body_names,
            body_poses=self.body_poses[index],
            body_twists=self.body_twists[index],
            target_names=self.target_names,
            target_positions=self.target_positions[index],
            **self._ball_state(index),
        )

    def _ball_state(self, index: int) -> dict[str, Any]:
        if not self.ball_names:
            return {}
        return {
            "ball_names": self.ball_names,
            "ball_rotations": self.ball_rotations[index],
            "ball_velocities": self.ball_velocities[index],
        }

    def check_matches(self, spec: SimSpec) -> None:
        """InvalidRequest, naming the differences, unless the trajectory fits the simulator's
        robot: the same action dimensions in any order and the same robot joints."""
        differences = _difference("actions", self.action_names, spec.action.names)
        if self.joint_names:
            joints = _of_entities([joint.name for joint in spec.joints], spec.robot_entities)
            recorded = _of_entities(self.joint_names, self.robot_entities)
            differences += _difference("robot joints", recorded, joints)
        if differences:
            raise InvalidRequest(
                f"the trajectory of {self.task} ({', '.join(self.robot_entities) or 'no robot'}) "
                f"does not fit {spec.task} ({', '.join(spec.robot_entities) or 'no robot'}): "
                + "; ".join(differences)
            )

    def save(self, path: str | Path) -> Path:
        """Write the file, whole or not at all; missing folders are created. OperationFailed when
        that does not work."""
        path = Path(path)
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._write(path)
        return path

    def _write(self, path: Path) -> None:
        header = {"format": FORMAT, "version": VERSION}
        left_out = () if self.ball_names else _BALLS  # as in files from before there were any
        header.update({n: getattr(self, n) for n in _HEADER if n not in left_out})
        partial = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            with partial.open("wb") as file:
                arrays = {n: getattr(self, n) for n in _ARRAYS if n not in left_out}
                np.savez_compressed(file, header=np.array(json.dumps(header)), **arrays)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        n, s = self.num_steps, self.num_states
        joints, bodies = len(self.joint_names), len(self.body_names)
        balls = len(self.ball_names)
        return {
            "actions": (n, len(self.action_names)),
            "rewards": (n,),
            "times_s": (s,),
            "joint_positions": (s, joints),
            "joint_velocities": (s, joints),
            "body_poses": (s, bodies, 7),
            "body_twists": (s, bodies, 6),
            "target_positions": (s, len(self.target_names)),
            **(
                {"ball_rotations": (s, balls, 4), "ball_velocities": (s, balls, 3)} if balls else {}
            ),
        }


_ARRAYS = tuple(f.name for f in fields(Trajectory) if f.type == "np.ndarray")
_HEADER = tuple(f.name for f in fields(Trajectory) if f.name not in _ARRAYS)
_BALLS = ("ball_names", "ball_rotations", "ball_velocities")
_TUPLES = tuple(f.name for f in fields(Trajectory) if f.type == "tuple[str, ...]")


def load_trajectory(path: str | Path) -> Trajectory:
    """NotFound when there is no such file, InvalidRequest when it is not a whole trajectory."""
    path = Path(path).expanduser()
    if not path.is_file():
        raise NotFound(
            f"no trajectory file {str(path)!r}; valid: a {SUFFIX} written by this program"
        )
    try:
        content = read_npz(path)
        header = json.loads(str(content["header"]))
        _check_version(header)
        without = () if "ball_names" in header else _BALLS
        arrays = {n: np.asarray(content[n], np.float64) for n in _ARRAYS if n not in without}
        values: dict[str, Any] = {n: header[n] for n in _HEADER if n not in without}
        values.update({n: tuple(values[n]) for n in _TUPLES if n not in without})
        return Trajectory(**values | arrays)
    except InvalidRequest as error:
        raise InvalidRequest(f"trajectory {str(path)!r}: {error}") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> InvalidRequest:
    size = path.stat().st_size
    return InvalidRequest(
        f"trajectory {str(path)!r} ({size} bytes) is truncated, damaged or not a trajectory: "
        f"{error}"
    )


def _check_version(header: Any) -> None:
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise InvalidRequest(f"not a trajectory: its header does not say {FORMAT!r}")
    if header.get("version") != VERSION:
        raise InvalidRequest(f"format version {header.get('version')!r}; valid: {VERSION}")


class TrajectoryRecorder:
    """Collects one episode, one state per control step."""

    def __init__(self, spec: SimSpec, seed: int | None, initial: SimState) -> None:
        self._spec = spec
        self._seed = seed
        self._states = [initial]
        self._actions: list[np.ndarray] = []
        self._rewards: list[float] = []

    def add(self, action: np.ndarray, state: SimState, reward: float) -> None:
        """One step: ``action (A,)`` and the state after it."""
        self._actions.append(np.array(action, dtype=np.float64))
        self._states.append(state)
        self._rewards.append(float(reward))

    def finish(self, success: bool, meta: dict[str, Any] | None = None) -> Trajectory:
        spec, first = self._spec, self._states[0]
        return Trajectory(
            task=spec.task,
            simulator=f"{spec.simulator} ({spec.simulator_version})",
            robot_entities=spec.robot_entities,
            control_period_s=spec.control_period_s,
            action_names=spec.action.names,
            actions=np.reshape(self._actions, (len(self._actions), spec.action.size)),
            rewards=np.array(self._rewards),
            seed=self._seed,
            success=success,
            times_s=np.array([s.time_s for s in self._states]),
            joint_names=first.joint_names,
            joint_positions=self._stack("joint_positions"),
            joint_velocities=self._stack("joint_velocities"),
            body_names=first.body_names,
            body_poses=self._stack("body_poses"),
            body_twists=self._stack("body_twists"),
            target_names=first.target_names,
            target_positions=self._stack("target_positions"),
            **self._balls(first.ball_names),
            meta=meta or {},
        )

    def _balls(self, names: tuple[str, ...]) -> dict[str, Any]:
        if not names:
            return {}
        return {"ball_names": names, **{n: self._stack(n) for n in _BALLS[1:]}}

    def _stack(self, name: str) -> np.ndarray:
        return np.stack([getattr(state, name) for state in self._states])


def _of_entities(joints: Sequence[str], entities: Sequence[str]) -> list[str]:
    return [name for name in joints if name.partition("/")[0] in entities]


def _difference(what: str, found: Sequence[str], wanted: Sequence[str]) -> list[str]:
    extra = [name for name in found if name not in wanted]
    missing = [name for name in wanted if name not in found]
    texts = []
    if extra:
        texts.append(f"{what} only in the trajectory: {', '.join(extra)}")
    if missing:
        texts.append(f"{what} missing in the trajectory: {', '.join(missing)}")
    return texts
