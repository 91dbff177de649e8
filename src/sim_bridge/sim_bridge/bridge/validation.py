"""Checks on what clients send, before it reaches a simulator. All errors name the offender."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Collection, Sequence
from itertools import cycle
from operator import le

import numpy as np

from sim_bridge.errors import InvalidAction, InvalidState, unknown
from sim_bridge.types import ActionSpec, CameraSpec, SimState

_UNIT_TOLERANCE = 1e-3
_LISTED = 12


def check_actions(
    values: Sequence[float] | np.ndarray, num_steps: int, spec: ActionSpec
) -> np.ndarray:
    """Row-major ``values`` as ``(num_steps, A)``; InvalidAction unless sized, finite, in bounds."""
    actions = np.asarray(values, dtype=np.float64)
    if num_steps < 1:
        raise InvalidAction(f"num_steps is {num_steps}; valid: 1 or more")
    if actions.size != num_steps * spec.size:
        raise InvalidAction(
            f"{actions.size} action values for {num_steps} step(s); valid: {num_steps * spec.size}"
            f" ({num_steps} x {spec.size}: {', '.join(spec.names)})"
        )
    actions = actions.reshape(num_steps, spec.size)
    if not _inside(actions.ravel().tolist(), spec.low.tolist(), spec.high.tolist()):
        _check_each(actions, np.isfinite(actions), "a finite number", spec)
        inside = (actions >= spec.low) & (actions <= spec.high)
        column = int(np.argwhere(~inside)[0][1])
        bounds = f"{spec.low[column]:g} to {spec.high[column]:g} {spec.units[column]}"
        _check_each(actions, inside, bounds, spec)
    return actions


def _inside(values: list[float], low: list[float], high: list[float]) -> bool:
    """False for NaN. In every step's way: few numbers cost numpy more than they do plain Python."""
    return all(map(le, cycle(low), values)) and all(map(le, values, cycle(high)))


def _check_each(actions: np.ndarray, good: np.ndarray, valid: str, spec: ActionSpec) -> None:
    bad = np.argwhere(~good)
    if len(bad):
        row, column = bad[0]
        raise InvalidAction(
            f"action {row}, {spec.names[column]}: {actions[row, column]:g}; valid: {valid}"
        )


def check_state(state: SimState, now: SimState) -> None:
    """Whether ``state`` may be written to the scene whose state is ``now``.

    InvalidState unless sizes fit, names are given once and values are finite; NotFound for names
    that the scene does not have. A target may belong to any joint of the scene: where that joint
    has no position control, as in another engine, it is left alone.
    """
    blocks = (
        ("joint", state.joint_names, now.joint_names,
         {"position": (state.joint_positions, ()), "velocity": (state.joint_velocities, ())}),
        ("body", state.body_names, now.body_names,
         {"pose": (state.body_poses, (7,)), "twist": (state.body_twists, (6,))}),
        ("ball joint", state.ball_names, now.ball_names,
         {"rotation": (state.ball_rotations, (4,)), "velocity": (state.ball_velocities, (3,))}),
        ("target", state.target_names, dict.fromkeys((*now.target_names, *now.joint_names)),
         {"position": (state.target_positions, ())}),
    )  # fmt: skip
    for kind, names, known, values in blocks:
        _check_names(kind, names, known)
        for what, (array, row_shape) in values.items():
            _check_values(kind, what, names, array, row_shape)
    for kind, names, turns in (
        ("body", state.body_names, state.body_poses[:, 3:]),
        ("ball joint", state.ball_names, state.ball_rotations),
    ):
        for name, turn in zip(names, turns, strict=True):
            norm = float(np.linalg.norm(turn))
            if abs(norm - 1.0) > _UNIT_TOLERANCE:
                raise InvalidState(f"{kind} {name!r}: quaternion xyzw of norm {norm:g}; valid: 1")


def _check_names(kind: str, names: Sequence[str], known: Collection[str]) -> None:
    for name, count in Counter(names).items():
        if count > 1:
            raise InvalidState(f"{kind} {name!r} is named twice")
        if name not in known:
            raise unknown(kind, name, list(known)[:_LISTED] + ["..."] * (len(known) > _LISTED))


def _check_values(
    kind: str, what: str, names: Sequence[str], array: np.ndarray, row_shape: tuple[int, ...]
) -> None:
    if np.shape(array) != (len(names), *row_shape):
        raise InvalidState(
            f"{kind}s: {len(names)} names, but {what} values of shape {np.shape(array)}; "
            f"valid: {(len(names), *row_shape)}"
        )
    for name, value in zip(names, array, strict=True):
        if not np.isfinite(value).all():
            shown = np.array2string(np.asarray(value), precision=6, max_line_width=sys.maxsize)
            raise InvalidState(f"{kind} {name!r}: {what} {shown}; valid: finite numbers")


def check_cameras(names: Sequence[str], cameras: Sequence[CameraSpec]) -> None:
    """NotFound when a camera is not offered."""
    if not names:
        return
    known = [camera.name for camera in cameras]
    for name in names:
        if name not in known:
            raise unknown("camera", name, known)
