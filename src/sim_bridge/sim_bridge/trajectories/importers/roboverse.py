"""RoboVerse trajectories, version 2: a pickle, perhaps gzipped, of plain dicts and numbers.

``{robot: [{"init_state": {name: {"pos", "rot" wxyz, "dof_pos": {joint: value}}},
"actions": [{"dof_pos_target": {joint: value}}], "states": [...] or None}]}``. States have the
layout of ``init_state`` but are not aligned with the actions. The format does not name its
control period.
"""

from __future__ import annotations

import gzip
import io
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from sim_bridge.errors import InvalidRequest, OperationFailed, unknown
from sim_bridge.files.safe_pickle import load
from sim_bridge.trajectories.importers.episode import RawEpisode
from sim_bridge.trajectories.importers.options import ImportOptions

_LARGEST_BYTES = 1 << 30
# Numbers pack to a tenth of their size at best; zlib's most is a thousandth.
_LARGEST_RATIO = 100
_SMALL_BYTES = 1 << 24
_CHUNK_BYTES = 1 << 20
_GZIP_MAGIC = b"\x1f\x8b"
_TO_XYZW = [1, 2, 3, 0]


def recognises(path: Path) -> bool:
    return path.is_file() and path.name.endswith((".pkl", ".pkl.gz"))


def read(path: Path, options: ImportOptions) -> RawEpisode:
    """InvalidRequest for anything but plain data in this layout; nothing in the file is run."""
    document = _load(path)
    try:
        robot = _choose_robot(document, options.robot, path)
        demos = document[robot]
        if not options.episode < len(demos):
            raise InvalidRequest(
                f"{path}: no episode {options.episode}; valid: 0 to {len(demos) - 1}"
            )
        return _episode(path, robot, demos[options.episode], options)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise InvalidRequest(f"{path} is not a RoboVerse v2 trajectory: {error!r}") from None


def _load(path: Path) -> Any:
    packed = path.stat().st_size
    try:
        with path.open("rb") as file:
            if file.read(len(_GZIP_MAGIC)) != _GZIP_MAGIC:
                file.seek(0)
                return load(io.BufferedReader(_Capped(file, _LARGEST_BYTES)))
        with gzip.open(path) as file:
            most = min(_LARGEST_BYTES, max(_SMALL_BYTES, _LARGEST_RATIO * packed))
            return load(io.BufferedReader(_Capped(file, most)))
    except (OSError, OperationFailed) as error:
        raise InvalidRequest(f"{path}: {error}") from None


class _Capped(io.RawIOBase):
    """Reads ``file`` and counts: OperationFailed for more than ``most`` bytes."""

    def __init__(self, file: io.BufferedIOBase, most: int) -> None:
        self._file = file
        self._most = most
        self._count = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            chunk = self._file.read(min(len(buffer), _CHUNK_BYTES))
        except (OSError, EOFError, zlib.error) as error:
            raise OperationFailed(f"cannot be read: {error}") from None
        self._count += len(chunk)
        if self._count > self._most:
            raise OperationFailed(f"it unpacks to more than {self._most} bytes")
        buffer[: len(chunk)] = chunk
        return len(chunk)


def _choose_robot(document: Any, wanted: str, path: Path) -> str:
    if not isinstance(document, dict) or not document:
        raise InvalidRequest(f"{path} is not a RoboVerse v2 trajectory: it holds no robots")
    robots = [str(name) for name in document]
    if wanted and wanted not in robots:
        raise unknown("robot", wanted, robots)
    if not wanted and len(robots) > 1:
        raise InvalidRequest(f"{path} holds several robots; give robot={' or robot='.join(robots)}")
    return wanted or robots[0]


def _episode(path: Path, robot: str, demo: dict[str, Any], options: ImportOptions) -> RawEpisode:
    targets = [action["dof_pos_target"] for action in demo["actions"]]
    joints = tuple(sorted(targets[0]))
    for index, target in enumerate(targets):
        if tuple(sorted(target)) != joints:
            raise ValueError(f"action {index} does not have the joints of the first")
    states = [demo["init_state"]]
    if options.states == "all":
        if not demo.get("states"):
            raise InvalidRequest(f"{path}: episode {options.episode} holds no states")
        states = demo["states"]
    joint_names, positions, body_names, poses = _states(states)
    return RawEpisode(
        path=path,
        task=path.name.partition(".")[0],
        source="RoboVerse",
        actions=np.array([[target[joint] for joint in joints] for target in targets], dtype=float),
        action_names=tuple(f"{robot}/{joint}" for joint in joints),
        robot_entities=(robot,),
        joint_names=joint_names,
        joint_positions=positions,
        body_names=body_names,
        body_poses=poses,
        meta={"robot": robot, "episode": options.episode},
    )


def _states(states: list[dict[str, Any]]):
    """Joint names and positions ``(S, n)``, body names and poses ``(S, m, 7)`` xyzw."""
    first = states[0]
    joints = [
        (entity, joint)
        for entity, values in sorted(first.items())
        for joint in sorted(values.get("dof_pos") or {})
    ]
    bodies = sorted(name for name, values in first.items() if "pos" in values)
    positions = [[state[entity]["dof_pos"][joint] for entity, joint in joints] for state in states]
    poses = [[_pose(state[body]) for body in bodies] for state in states]
    return (
        tuple(f"{entity}/{joint}" for entity, joint in joints),
        np.array(positions, dtype=float).reshape(len(states), len(joints)),
        tuple(bodies),
        np.array(poses, dtype=float).reshape(len(states), len(bodies), 7),
    )


def _pose(values: dict[str, Any]) -> np.ndarray:
    rotation = np.asarray(values["rot"], dtype=float).reshape(4)
    norm = np.linalg.norm(rotation)
    if not 0.9 < norm < 1.1:
        raise ValueError(f"a rotation of norm {norm:g}")
    position = np.asarray(values["pos"], dtype=float).reshape(3)
    return np.concatenate([position, (rotation / norm)[_TO_XYZW]])
