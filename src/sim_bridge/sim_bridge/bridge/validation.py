"""Checks on what clients send, before it reaches a simulator. All errors name the offender."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle
from operator import le

import numpy as np

from sim_bridge.errors import InvalidAction, InvalidState, unknown
from sim_bridge.types import ActionSpec, CameraSpec, SimState

_UNIT_TOLERANCE = 1e-3
_LISTED = 12


def check_actions(values: Sequence[float], num_steps: int, spec: ActionSpec) -> np.ndarray:
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


def check_state(state: SimState, joints: Sequence[str], bodies: Sequence[str]) -> None:
    """InvalidState / NotFound unless sizes fit, names are known and values are finite."""
    _check_block("joint", state.joint_names, joints, state.joint_positions, state.joint_velocities)
    _check_block("body", state.body_names, bodies, state.body_poses, state.body_twists)
    for name, pose in zip(state.body_names, state.body_poses, strict=True):
        norm = float(np.linalg.norm(pose[3:]))
        if abs(norm - 1.0) > _UNIT_TOLERANCE:
            raise InvalidState(f"body {name!r}: quaternion xyzw of norm {norm:g}; valid: 1")


def _check_block(
    kind: str, names: Sequence[str], known: Sequence[str], values: np.ndarray, rates: np.ndarray
) -> None:
    if not len(names) == len(values) == len(rates):
        raise InvalidState(
            f"{len(names)} {kind} names, {len(values)} values and {len(rates)} velocities; "
            "valid: the same number of each"
        )
    if len(set(names)) != len(names):
        twice = next(n for n in names if list(names).count(n) > 1)
        raise InvalidState(f"{kind} {twice!r} is named twice")
    for index, name in enumerate(names):
        if name not in known:
            raise unknown(kind, name, list(known)[:_LISTED] + ["..."] * (len(known) > _LISTED))
        for what, array in (("value", values), ("velocity", rates)):
            if not np.isfinite(array[index]).all():
                raise InvalidState(f"{kind} {name!r}: {what} {array[index]}; valid: finite numbers")


def check_cameras(names: Sequence[str], cameras: Sequence[CameraSpec]) -> None:
    """NotFound when a camera is not offered."""
    if not names:
        return
    known = [camera.name for camera in cameras]
    for name in names:
        if name not in known:
            raise unknown("camera", name, known)
