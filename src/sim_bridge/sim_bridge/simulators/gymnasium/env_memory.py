"""The plain data that a Gymnasium environment keeps between steps, outside its physics engine.

Phase flags, targets and goals live in attributes of the environment, the step count in its
TimeLimit wrapper, the random stream in ``np_random``. Restoring physics without them gives
another future. Only numbers, booleans, None and numeric arrays are taken.
"""

from __future__ import annotations

import json

import gymnasium
import numpy as np

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


def restore(env: gymnasium.Env, arrays: dict[str, np.ndarray]) -> None:
    """Put back what ``capture`` took; attributes that the environment does not have are ignored."""
    inner = env.unwrapped
    document = json.loads(bytes(arrays[_JSON]).decode())
    for name, value in arrays.items():
        if _is_numeric(getattr(inner, name, None)) or getattr(inner, name, False) is None:
            setattr(inner, name, value.copy())
    for name, value in document["attributes"].items():
        if name in vars(inner):
            setattr(inner, name, value)
    for wrapper, elapsed in zip(_time_limits(env), document["elapsed"], strict=True):
        wrapper._elapsed_steps = elapsed
    if document["random"]["bit_generator"] == type(inner.np_random.bit_generator).__name__:
        inner.np_random.bit_generator.state = document["random"]


def _time_limits(env: gymnasium.Env) -> list[gymnasium.wrappers.TimeLimit]:
    found = []
    while isinstance(env, gymnasium.Wrapper):
        if isinstance(env, gymnasium.wrappers.TimeLimit):
            found.append(env)
        env = env.env
    return found
