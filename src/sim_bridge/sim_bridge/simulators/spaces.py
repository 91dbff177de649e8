"""Gymnasium spaces to the wire's layout descriptions."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces

from sim_bridge.errors import FeatureUnsupported
from sim_bridge.types import ActionSpec, ArraySpec

SINGLE = "observation"  # name of an observation that is not a Dict


def action_spec(
    space: spaces.Space, names: tuple[str, ...], units: tuple[str, ...], control_mode: str
) -> ActionSpec:
    """Layout of a one-dimensional Box; names default to ``a0``, ``a1`` ..."""
    if not isinstance(space, spaces.Box) or len(space.shape) != 1:
        raise FeatureUnsupported(f"action space {space}; supported: a one-dimensional Box")
    size = space.shape[0]
    return ActionSpec(
        names=names or tuple(f"a{i}" for i in range(size)),
        low=space.low.astype(np.float64),
        high=space.high.astype(np.float64),
        units=units or ("1",) * size,
        control_mode=control_mode,
    )


def array_specs(space: spaces.Space) -> tuple[ArraySpec, ...]:
    """One entry per numeric Box; nested keys are joined with dots. Images are left to cameras."""
    return tuple(_spec(name, box) for name, box in _boxes(space, "") if not _is_image(box))


def flatten(space: spaces.Space, observation: object) -> dict[str, np.ndarray]:
    """The arrays that ``array_specs`` describes, out of one observation."""
    return {
        name: np.asarray(_pick(observation, name))
        for name, box in _boxes(space, "")
        if not _is_image(box)
    }


def _boxes(space: spaces.Space, prefix: str):
    if isinstance(space, spaces.Dict):
        for key, inner in space.items():
            yield from _boxes(inner, f"{prefix}.{key}" if prefix else key)
    elif isinstance(space, spaces.Box):
        yield prefix or SINGLE, space


def _pick(observation: Any, name: str) -> Any:
    if isinstance(observation, dict):
        for key in name.split("."):
            observation = observation[key]
    return observation


def _is_image(box: spaces.Box) -> bool:
    return box.dtype == np.uint8 and len(box.shape) == 3


def _spec(name: str, box: spaces.Box) -> ArraySpec:
    return ArraySpec(name, str(box.dtype), box.shape, _bounds(box.low), _bounds(box.high))


def _bounds(values: np.ndarray) -> np.ndarray:
    flat = values.ravel().astype(np.float64)
    return flat[:1] if flat.size and (flat == flat[0]).all() else flat
