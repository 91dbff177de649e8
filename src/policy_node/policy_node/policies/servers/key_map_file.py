"""Key maps from YAML: those shipped in ``key_maps/`` and the user's own."""

from __future__ import annotations

from dataclasses import fields
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from policy_node.policies.servers.address import ServerAddress
from policy_node.policies.servers.key_map import (
    ActionEntry,
    ImageEntry,
    KeyMap,
    KeyPath,
    StateEntry,
)
from sim_bridge.errors import InvalidRequest, unknown
from sim_bridge.types import SimSpec


def load_key_map(name_or_path: str) -> KeyMap:
    """A map shipped with this package, by name, or a YAML file, by path."""
    shipped = resources.files("policy_node.policies.servers") / "key_maps"
    names = sorted(entry.name[:-5] for entry in shipped.iterdir() if entry.name.endswith(".yaml"))
    if name_or_path in names:
        return parse_key_map((shipped / f"{name_or_path}.yaml").read_text(), name_or_path)
    path = Path(name_or_path)
    if not path.is_file():
        raise unknown("key map", name_or_path, (*names, "or the path of a YAML file"))
    return parse_key_map(path.read_text(), str(path))


def key_map_of(address: ServerAddress, default: str, sim_spec: SimSpec | None) -> KeyMap:
    """The map that the address names, else ``default``; bound to the simulator, if one is given."""
    key_map = load_key_map(address.options.get("map", default))
    return key_map.bound_to(sim_spec) if sim_spec else key_map


def parse_key_map(text: str, name: str = "key map") -> KeyMap:
    """Raises InvalidRequest that names the offending entry and the fields it may have."""
    try:
        data = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise InvalidRequest(f"{name} is not YAML: {error}") from None
    if not isinstance(data, dict):
        raise InvalidRequest(f"{name} must be a mapping with images, state, prompt and actions")
    for key in data:
        if key not in ("images", "state", "prompt", "actions"):
            raise unknown(f"key of {name}", key, ("images", "state", "prompt", "actions"))
    return KeyMap(
        images=tuple(_entry(ImageEntry, e, f"{name}: images") for e in data.get("images") or ()),
        state=tuple(_entry(StateEntry, e, f"{name}: state") for e in data.get("state") or ()),
        prompt=_as_path(data.get("prompt") or ()),
        actions=tuple(
            _entry(ActionEntry, e, f"{name}: actions") for e in data.get("actions") or ()
        ),
        name=name,
    )


def _entry(cls, data: Any, where: str):
    if not isinstance(data, dict):
        raise InvalidRequest(f"{where}: expected a mapping, got {data!r}")
    data = {
        ("source" if cls is ActionEntry and key == "from" else key): v for key, v in data.items()
    }
    known = [field.name for field in fields(cls)]
    for key in data:
        if key not in known:
            raise unknown(f"field in {where}", key, ["from" if k == "source" else k for k in known])
    if known[0] not in data:
        raise InvalidRequest(f"{where}: {data!r} lacks {'from' if cls is ActionEntry else 'to'!r}")
    for key in ("to", "source"):
        if key in data:
            data[key] = _as_path(data[key])
    for key in ("joints", "names", "indices", "size"):
        if data.get(key) is not None:
            data[key] = tuple([data[key]] if isinstance(data[key], str) else data[key])
    for key in ("scale", "offset"):
        if key in data:
            data[key] = np.asarray(data[key], dtype=np.float64)
    entry = cls(**data)
    _check_choices(entry, where)
    return entry


def _check_choices(entry, where: str) -> None:
    if isinstance(entry, ImageEntry):
        if entry.fit not in ("pad", "stretch"):
            raise unknown(f"fit in {where}", entry.fit, ("pad", "stretch"))
        if entry.layout not in ("hwc", "chw"):
            raise unknown(f"layout in {where}", entry.layout, ("hwc", "chw"))
        if entry.size and (len(entry.size) != 2 or min(entry.size) < 1):
            raise InvalidRequest(f"{where}: size must be [height, width], got {list(entry.size)}")
    if isinstance(entry, StateEntry):
        if bool(entry.joints) == bool(entry.array):
            raise InvalidRequest(f"{where}: {'/'.join(entry.to)} needs either joints or array")
        if entry.of not in ("position", "velocity"):
            raise unknown(f"of in {where}", entry.of, ("position", "velocity"))
        if entry.dtype not in ("float32", "float64"):
            raise unknown(f"dtype in {where}", entry.dtype, ("float32", "float64"))


def _as_path(key: Any) -> KeyPath:
    return (key,) if isinstance(key, str) else tuple(map(str, key))
