"""How GR00T wants observations laid out, in each of its versions, and what it says it wants.

Source: github.com/NVIDIA/Isaac-GR00T, ``gr00t/policy/gr00t_policy.py`` (N1.6),
``gr00t/policy/server_client.py`` and, for N1.5, ``gr00t/eval/service.py``. Key maps name the
nested form: ``[video, CAMERA]``, ``[state, KEY]``, ``[language, KEY]``; actions are ``KEY``.

| version    | keys                       | arrays            |
|------------|----------------------------|-------------------|
| n1.6       | nested                     | (B, T, ...)       |
| n1.6-sim   | ``video.CAMERA`` and so on | (B, T, ...)       |
| n1.5       | ``video.CAMERA`` and so on | (T, ...), B is 1  |
"""

from __future__ import annotations

from typing import Any

import numpy as np

from policy_node.policies.servers.key_map import ActionEntry, ImageEntry, KeyMap, StateEntry
from sim_bridge.errors import FeatureUnsupported, InvalidRequest, OperationFailed, unknown
from sim_bridge.types import SimSpec

VERSIONS = ("n1.6", "n1.6-sim", "n1.5")
_MODALITIES = ("video", "state", "language")


def check_version(version: str, where: str) -> str:
    if version not in VERSIONS:
        raise unknown(f"version of {where}", version, VERSIONS)
    return version


def laid_out(request: dict[str, Any], version: str) -> dict[str, Any]:
    """The key map's nested request with the axes and keys of ``version``."""
    observation: dict[str, Any] = {}
    for modality in _MODALITIES:
        for key, value in request.get(modality, {}).items():
            if isinstance(value, str):
                laid = [[value]] if version == "n1.6" else [value]
            else:
                laid = value[None] if version == "n1.5" else value[None, None]
            if version == "n1.6":
                observation.setdefault(modality, {})[key] = laid
            else:
                observation[key if modality == "language" else f"{modality}.{key}"] = laid
    return observation


def unbatched(action: Any) -> dict[str, np.ndarray]:
    """A reply's ``{key: (B, T, D)}`` or ``{"action.key": (T, D)}`` as ``{key: (T, D)}``.

    Raises OperationFailed for anything else than a map of arrays of one batch.
    """
    if not isinstance(action, dict):
        raise OperationFailed(
            f"the server answered with a {type(action).__name__}, not action arrays"
        )
    parts = {}
    for key, value in action.items():
        try:
            array = np.asarray(value, dtype=np.float64)
        except (TypeError, ValueError):
            raise OperationFailed(f"the server's action {key!r} is not an array") from None
        if array.ndim == 3 and len(array) == 1:
            array = array[0]
        parts[key.removeprefix("action.")] = array[:, None] if array.ndim == 1 else array
    return parts


def modality_keys(config: dict[str, Any], modality: str) -> list[str]:
    """Keys that a server's modality configuration names, without N1.5's prefix."""
    entry = config.get(modality) or {}
    keys = entry.get("modality_keys") or []
    return [str(key).removeprefix(f"{modality}.") for key in keys]


def horizon(config: dict[str, Any]) -> int:
    return len((config.get("action") or {}).get("delta_indices") or ())


def default_map(config: dict[str, Any], spec: SimSpec | None) -> KeyMap:
    """What the server asks for, taken by the same name; one state or action key is everything.

    Raises InvalidRequest, listing both sides, where names alone do not settle it.
    """
    state_keys = modality_keys(config, "state")
    arrays = tuple(array.name for array in spec.observations) if spec else ()
    every = {
        "joints": StateEntry(("state", "joints"), joints=("*",)),
        "velocities": StateEntry(("state", "velocities"), joints=("*",), of="velocity"),
        **{name: StateEntry(("state", name), array=name) for name in arrays},
    }
    if len(state_keys) == 1 and state_keys[0] not in every:
        every[state_keys[0]] = StateEntry(("state", state_keys[0]), joints=("*",))
    if missing := [key for key in state_keys if key not in every]:
        raise InvalidRequest(
            f"the server's state has {', '.join(missing)}; the simulator has "
            f"{', '.join(every)}: write a key map (?map=FILE)"
        )
    language = modality_keys(config, "language")
    return KeyMap(
        images=tuple(ImageEntry(("video", k), camera=k) for k in modality_keys(config, "video")),
        state=tuple(every[key] for key in state_keys),
        prompt=("language", language[0]) if language else (),
        actions=tuple(ActionEntry((key,)) for key in modality_keys(config, "action")),
        name="the server's modality configuration",
    )


def check_modalities(config: dict[str, Any], key_map: KeyMap) -> None:
    """Compare a bound key map with the server's modality configuration.

    Raises InvalidRequest that lists both sides, FeatureUnsupported for a server that wants more
    than the present observation.
    """
    if not config:
        return
    sent: dict[str, list[str]] = {modality: [] for modality in _MODALITIES}
    for modality, *rest in key_map.request_keys:
        sent.setdefault(modality, []).append(".".join(rest))
    asked = {modality: modality_keys(config, modality) for modality in _MODALITIES}
    for modality in _MODALITIES:
        if "*" in "".join(sent[modality]) or "{" in "".join(sent[modality]):
            continue
        if set(asked[modality]) - set(sent[modality]):
            raise InvalidRequest(
                f"{modality}: the server asks for {', '.join(asked[modality]) or 'nothing'}, "
                f"{key_map.name} sends {', '.join(sent[modality]) or 'nothing'}"
            )
        steps = (config.get(modality) or {}).get("delta_indices") or [0]
        if len(steps) > 1:
            raise FeatureUnsupported(
                f"{modality}: the server wants the steps {steps}; this client sends the present one"
            )
    taken, offered = [e.source[-1] for e in key_map.actions], modality_keys(config, "action")
    if missing := set(taken) - set(offered):
        raise InvalidRequest(
            f"action: {key_map.name} takes {', '.join(sorted(missing))}, "
            f"the server gives {', '.join(offered) or 'nothing'}"
        )
