"""Rules for models that differ from what the simulator says: names, sign, offset, unit, scale.

Most models need none: names are matched by themselves (see ``model_map``). The YAML form::

    prefixes: {left: "left_"}          # wire entity -> prefix of the model's names
    joints:
      panda_joint1: joint1             # wire name -> model name
      arm/elbow: {to: elbow, sign: -1, offset: 1.5708, unit: deg}
      panda_hand/width: {to: [finger_joint1, finger_joint2], scale: 0.5}
    bodies:
      g1: pelvis                       # wire body -> model body: free, mocap or fixed to the world
      arm: {to: link0, pose: [0, 0, 0.1, 0, 0, 0, 1]}
    links:
      so101/tool: gripperframe         # tf frame -> model body or site, for the fidelity check
      so101/tool_flange: {to: gripper, pose: [0, 0, -0.1, 0, 0, 0, 1]}
    ignore: ["camera_*", "world"]      # wire or model names (fnmatch) that may stay unmapped

A model joint is set to ``sign * scale * unit * wire + offset`` (offset in the model's own unit,
rad or m); ``pose`` is the model frame as seen from the wire's frame, [x y z qx qy qz qw].
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np

from sim_bridge.errors import InvalidRequest, NotFound

UNITS = {"rad": 1.0, "deg": math.pi / 180, "m": 1.0, "mm": 1e-3}
_SECTIONS = ("prefixes", "joints", "bodies", "links", "ignore")
_JOINT_KEYS = ("to", "sign", "scale", "offset", "unit")
_POSE_KEYS = ("to", "pose")
_IDENTITY = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)


@dataclass(frozen=True)
class JointRule:
    """Model joints that follow one wire joint: ``factor * wire + offset`` [rad or m]."""

    to: tuple[str, ...]
    factor: float = 1.0
    offset: float = 0.0


@dataclass(frozen=True)
class PoseRule:
    """Model body (or site) that follows one wire frame; ``pose (7,)`` as seen from that frame."""

    to: str
    pose: tuple[float, ...] = _IDENTITY


@dataclass(frozen=True)
class MapRules:
    prefixes: Mapping[str, str] = field(default_factory=dict)
    joints: Mapping[str, JointRule] = field(default_factory=dict)
    bodies: Mapping[str, PoseRule] = field(default_factory=dict)
    links: Mapping[str, PoseRule] = field(default_factory=dict)
    ignore: tuple[str, ...] = ()

    def ignores(self, name: str) -> bool:
        return any(fnmatchcase(name, pattern) for pattern in self.ignore)


def load_rules(path: str | Path) -> MapRules:
    """Read a YAML file. NotFound when it is missing, InvalidRequest when it says nonsense."""
    import yaml

    path = Path(path)
    if not path.is_file():
        raise NotFound(f"map rules: no file {path}")
    try:
        return parse_rules(yaml.safe_load(path.read_text()) or {})
    except yaml.YAMLError as error:
        raise InvalidRequest(f"map rules {path}: not YAML: {error}") from None
    except InvalidRequest as error:
        raise InvalidRequest(f"map rules {path}: {error}") from None


def parse_rules(tree: Any) -> MapRules:
    """Rules from the parsed YAML; InvalidRequest names the entry and the valid keys."""
    _known("section", _mapping("top level", tree), _SECTIONS)
    return MapRules(
        prefixes={str(k): str(v) for k, v in _section(tree, "prefixes").items()},
        joints={str(k): _joint(k, v) for k, v in _section(tree, "joints").items()},
        bodies={str(k): _pose(k, v) for k, v in _section(tree, "bodies").items()},
        links={str(k): _pose(k, v) for k, v in _section(tree, "links").items()},
        ignore=tuple(str(p) for p in tree.get("ignore") or ()),
    )


def _section(tree: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    return _mapping(name, tree.get(name) or {})


def _mapping(what: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise InvalidRequest(f"{what}: {value!r} is not a mapping")
    return value


def _known(what: str, entry: Mapping[str, Any], valid: tuple[str, ...]) -> None:
    for key in entry:
        if key not in valid:
            raise InvalidRequest(f"unknown {what} {key!r}; valid: {', '.join(valid)}")


def _joint(name: str, entry: Any) -> JointRule:
    if isinstance(entry, str):
        return JointRule((entry,))
    entry = _mapping(f"joint {name!r}", entry)
    _known(f"key of joint {name!r}", entry, _JOINT_KEYS)
    to = entry.get("to", name)
    unit = entry.get("unit", "rad")
    if unit not in UNITS:
        raise InvalidRequest(f"joint {name!r}: unit {unit!r}; valid: {', '.join(UNITS)}")
    sign = _number(name, "sign", entry.get("sign", 1))
    if sign not in (1.0, -1.0):
        raise InvalidRequest(f"joint {name!r}: sign {sign:g}; valid: 1, -1")
    scale = _number(name, "scale", entry.get("scale", 1))
    if scale == 0.0:
        raise InvalidRequest(f"joint {name!r}: scale 0 would lose the position")
    return JointRule(
        to=(to,) if isinstance(to, str) else tuple(map(str, to)),
        factor=sign * scale * UNITS[unit],
        offset=_number(name, "offset", entry.get("offset", 0)),
    )


def _pose(name: str, entry: Any) -> PoseRule:
    if isinstance(entry, str):
        return PoseRule(entry)
    entry = _mapping(f"body {name!r}", entry)
    _known(f"key of body {name!r}", entry, _POSE_KEYS)
    pose = tuple(_number(name, "pose", v) for v in entry.get("pose", _IDENTITY))
    if len(pose) != 7 or abs(np.linalg.norm(pose[3:]) - 1) > 1e-3:
        raise InvalidRequest(
            f"body {name!r}: pose {pose} is not [x y z qx qy qz qw] with a unit quaternion"
        )
    return PoseRule(str(entry.get("to", name)), pose)


def _number(name: str, key: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise InvalidRequest(f"{name!r}: {key} {value!r} is not a finite number")
    return float(value)
