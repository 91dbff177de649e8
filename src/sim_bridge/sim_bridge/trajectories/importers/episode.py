"""What every importer extracts, and how it becomes a trajectory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from sim_bridge.errors import InvalidRequest, suggestion
from sim_bridge.trajectories.importers.options import EVERY, ImportOptions
from sim_bridge.trajectories.trajectory import Trajectory


def _empty(*shape: int) -> Any:
    return field(default_factory=lambda: np.zeros(shape))


@dataclass(frozen=True)
class RawEpisode:
    """One episode with the file's own names and units, quaternions already xyzw.

    Shapes: ``actions (N, A)``, ``rewards (N,)`` or empty, joints ``(S, n)``, ``body_poses
    (S, m, 7)``, ``body_twists (S, m, 6)`` or empty. ``S`` is N + 1 (around the actions), N (one
    before each action), 1 (the first), 0 or, for files whose states are not aligned with their
    actions, anything else.
    """

    path: Path
    task: str
    source: str
    actions: np.ndarray
    action_names: tuple[str, ...]
    period_s: float | None = None
    rewards: np.ndarray = _empty(0)
    success: bool = False
    robot_entities: tuple[str, ...] = ()
    joint_names: tuple[str, ...] = ()
    joint_positions: np.ndarray = _empty(0, 0)
    joint_velocities: np.ndarray = _empty(0, 0)
    body_names: tuple[str, ...] = ()
    body_poses: np.ndarray = _empty(0, 0, 7)
    body_twists: np.ndarray = _empty(0, 0, 6)
    meta: dict[str, Any] = field(default_factory=dict)


def to_trajectory(raw: RawEpisode, options: ImportOptions) -> Trajectory:
    """Apply scale and names, cut states and actions to fit. InvalidRequest when they cannot."""
    options = _with_full_names(raw, options)
    actions, states = _aligned(raw, options)
    period_s = options.period_or(raw.period_s, raw.path)
    joints = _scaled(raw.joint_positions[:states], raw.joint_names, options)
    rates = raw.joint_velocities[:states]
    rates = _scaled(rates, raw.joint_names, options) if rates.size else np.zeros(joints.shape)
    poses = raw.body_poses[:states].reshape(states, len(raw.body_names), 7)
    twists = raw.body_twists[:states]
    twists = twists if twists.size else np.zeros((*poses.shape[:2], 6))
    rewards = raw.rewards[: len(actions)]
    return Trajectory(
        task=raw.task,
        simulator=raw.source,
        robot_entities=raw.robot_entities,
        control_period_s=period_s,
        action_names=_renamed(raw.action_names, options),
        actions=_scaled(actions, raw.action_names, options),
        rewards=rewards if len(rewards) else np.zeros(len(actions)),
        seed=options.seed,
        success=raw.success,
        times_s=np.arange(states) * period_s,
        joint_names=_renamed(raw.joint_names, options),
        joint_positions=joints.reshape(states, len(raw.joint_names)),
        joint_velocities=rates.reshape(states, len(raw.joint_names)),
        body_names=_renamed(raw.body_names, options),
        body_poses=poses,
        body_twists=twists,
        target_positions=np.zeros((states, 0)),
        meta={**raw.meta, "imported_from": str(raw.path)},
    )


def _with_full_names(raw: RawEpisode, options: ImportOptions) -> ImportOptions:
    """``rename`` and ``scale`` by the names in the file, where a bare name is unambiguous.

    InvalidRequest for a name that is not in the file, or that may mean several.
    """
    names = dict.fromkeys((*raw.action_names, *raw.joint_names, *raw.body_names))

    def full(what: str, given: str) -> str:
        if given in names or given == EVERY:
            return given
        meant = [name for name in names if name.rpartition("/")[2] == given]
        if len(meant) == 1:
            return meant[0]
        if meant:
            raise InvalidRequest(f"{what} of {given!r}: it may be {' or '.join(meant)}")
        raise InvalidRequest(
            f"{what} of {given!r}: the file has {', '.join(names)}{suggestion(given, names)}"
        )

    return replace(
        options,
        rename={full("rename", name): to for name, to in options.rename.items()},
        scale={full("scale", name): factor for name, factor in options.scale.items()},
    )


def _aligned(raw: RawEpisode, options: ImportOptions) -> tuple[np.ndarray, int]:
    """Actions ``(N, A)`` and how many of the first states go with them."""
    steps, states = len(raw.actions), max(len(raw.joint_positions), len(raw.body_poses))
    if options.states == "none" or not states:
        if options.states == "all":
            raise InvalidRequest(f"{raw.path} holds no states")
        return raw.actions, 0
    if options.states == "initial":
        return raw.actions, 1
    if states == steps + 1:
        return raw.actions, states
    if states == steps:
        return raw.actions[:-1], states
    return _states_as_actions(raw), states


def _states_as_actions(raw: RawEpisode) -> np.ndarray:
    """For states that no action belongs to: go from one to the next by joint position."""
    missing = [name for name in raw.action_names if name not in raw.joint_names]
    if missing:
        raise InvalidRequest(
            f"{raw.path}: {len(raw.joint_positions)} states for {len(raw.actions)} actions, and "
            f"no state of {', '.join(missing)}; valid: states=initial or states=none"
        )
    columns = [raw.joint_names.index(name) for name in raw.action_names]
    return raw.joint_positions[1:, columns]


def _renamed(names: Sequence[str], options: ImportOptions) -> tuple[str, ...]:
    return tuple(options.rename.get(name, name) for name in names)


def _scaled(values: np.ndarray, names: Sequence[str], options: ImportOptions) -> np.ndarray:
    every = options.scale.get(EVERY, 1.0)
    factors = np.array([options.scale.get(name, every) for name in names])
    return np.asarray(values, dtype=np.float64) * factors if len(names) else np.asarray(values)
