"""The plain data that a Gymnasium environment keeps between steps, outside its physics engine.

Phase flags, targets and goals live in attributes of the environment, the step count in its
TimeLimit wrapper, the random stream in ``np_random``. Restoring physics without them gives
another future. Only numbers, booleans, None and numeric arrays are taken.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np

from sim_bridge.errors import InvalidState

_LARGEST = 4096
_PLAIN = (bool, int, float, np.bool_, np.integer, np.floating)
_JSON = "json"


def _is_numeric(value: object) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.kind in "biuf" and value.size <= _LARGEST


def capture(env: gymnasium.Env) -> dict[str, np.ndarray]:
    """Named arrays; plain values and the random stream travel as JSON text in one of them."""
    inner = env.unwrapped
    arrays, plain = {}, {}
    for name, value in vars(inner).items():
        if _is_numeric(value):
            arrays[name] = value
        elif value is None or isinstance(value, _PLAIN):
            plain[name] = value.item() if isinstance(value, np.generic) else value
    document = {
        "attributes": plain,
        "elapsed": [w._elapsed_steps for w in _time_limits(env)],
        "random": inner.np_random.bit_generator.state,
    }
    arrays[_JSON] = np.frombuffer(json.dumps(document).encode(), np.uint8)
    return arrays


@dataclass(frozen=True)
class Memory:
    """What ``parse`` read: arrays and plain values by attribute, step counts, random state."""

    arrays: dict[str, np.ndarray]
    attributes: dict[str, Any]
    elapsed: tuple[int, ...]
    random: np.random.BitGenerator | None


def parse(env: gymnasium.Env, arrays: Mapping[str, np.ndarray]) -> Memory | None:
    """Check what ``capture`` took from an environment like ``env``; InvalidState unless it fits.

    None when nothing was captured, as by a simulator without a task. Attributes that ``env`` does
    not have and another kind of random stream are left out.
    """
    if _JSON not in arrays:
        return None
    inner = env.unwrapped
    try:
        document = json.loads(bytes(arrays[_JSON]).decode())
        elapsed = tuple(int(steps) for steps in document["elapsed"])
        if len(elapsed) != len(_time_limits(env)):
            raise ValueError(f"{len(elapsed)} step counts for {len(_time_limits(env))} time limits")
        random = None
        if document["random"]["bit_generator"] == type(inner.np_random.bit_generator).__name__:
            random = type(inner.np_random.bit_generator)()
            random.state = document["random"]
        attributes = {k: v for k, v in document["attributes"].items() if k in vars(inner)}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidState(f"native block does not belong to this task: {error!r}") from None
    numeric = {
        name: value
        for name, value in arrays.items()
        if _is_numeric(getattr(inner, name, None)) or getattr(inner, name, False) is None
    }
    return Memory(numeric, attributes, elapsed, random)


def restore(env: gymnasium.Env, memory: Memory) -> None:
    """Put back what ``parse`` read."""
    inner = env.unwrapped
    for name, array in memory.arrays.items():
        setattr(inner, name, array.copy())
    for name, value in memory.attributes.items():
        setattr(inner, name, value)
    for wrapper, elapsed in zip(_time_limits(env), memory.elapsed, strict=True):
        wrapper._elapsed_steps = elapsed  # type: ignore[assignment]  # declared as None
    if memory.random is not None:
        inner.np_random.bit_generator.state = memory.random.state


def _time_limits(env: gymnasium.Env) -> list[gymnasium.wrappers.TimeLimit]:
    found = []
    while isinstance(env, gymnasium.Wrapper):
        if isinstance(env, gymnasium.wrappers.TimeLimit):
            found.append(env)
        env = env.env
    return found
