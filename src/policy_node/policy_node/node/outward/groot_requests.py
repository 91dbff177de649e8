"""GR00T's observations and actions, read and written at the server's end in any version."""

from __future__ import annotations

from typing import Any

import numpy as np

from policy_node.node.outward.task import ServedTask
from policy_node.policies.servers.encodings.arrays_msgpack import modality_config
from sim_bridge.errors import FeatureUnsupported, InvalidRequest
from sim_bridge.types import Observation

_STATE_AXES, _VIDEO_AXES = 1, 3


def observation(task: ServedTask, data: Any) -> Observation:
    """From nested or flat keys, with or without batch and time axes; the last time counts.

    Raises InvalidRequest for what is not an observation, FeatureUnsupported for a batch.
    """
    if not isinstance(data, dict):
        raise InvalidRequest(f"an observation is a map, got {type(data).__name__}")
    nested: dict[str, dict[str, Any]] = {"video": {}, "state": {}, "language": {}}
    for key, value in data.items():
        modality, _, rest = str(key).partition(".")
        if isinstance(value, dict) and key in nested:
            nested[key].update(value)
        elif modality in nested and rest:
            nested[modality][rest] = value
        else:
            nested["language"][str(key)] = value
    request = {
        "video": {k: _latest(v, _VIDEO_AXES, k) for k, v in nested["video"].items()},
        "state": {k: _latest(v, _STATE_AXES, k) for k, v in nested["state"].items()},
        "language": {k: _first_text(v) for k, v in nested["language"].items()},
    }
    return task.observation(request)


def is_flat(data: dict[str, Any]) -> bool:
    return not any(isinstance(value, dict) for value in data.values())


def action(task: ServedTask, actions: np.ndarray, flat: bool, batched: bool) -> dict[str, Any]:
    """``actions (H, A)`` under the key map's action key, float32 as GR00T gives them."""
    key = task.key_map.actions[0].source[-1]
    chunk = actions.astype(np.float32)
    return {f"action.{key}" if flat else key: chunk[None] if batched else chunk}


def modalities(task: ServedTask) -> dict[str, Any]:
    """``get_modality_config``: a real client refuses a modality without keys, so none is empty."""
    keys: dict[str, list[str]] = {"video": [], "state": []}
    for modality, *rest in task.required_keys:
        keys.setdefault(modality, []).append(".".join(rest))
    keys["language"] = [task.key_map.prompt[-1]] if task.key_map.prompt else []
    config = {m: modality_config(k) for m, k in keys.items() if k}
    steps = max(task.policy.horizon, 1)
    config["action"] = modality_config([task.key_map.actions[0].source[-1]], steps)
    return config


def _latest(value: Any, axes: int, key: str) -> np.ndarray:
    array = np.asarray(value)
    if array.ndim == axes + 2:
        if len(array) != 1:
            raise FeatureUnsupported(f"{key} has a batch of {len(array)}; this server takes one")
        array = array[0]
    return array[-1] if array.ndim == axes + 1 and len(array) else array


def _first_text(value: Any) -> str | None:
    while isinstance(value, (list, tuple)) and value:
        value = value[0]
    return value if isinstance(value, str) else None
