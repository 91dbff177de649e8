"""robomimic datasets: ``data/demo_i/{actions, states, rewards}`` in HDF5.

``states`` are MuJoCo's ``[time, qpos, qvel]`` for the model in the demo's ``model_file``
attribute; its XML says which joint is where (MuJoCo numbers them in document order), so that
meshes which only the recording machine had are not needed. Actions have no names: they must be
given as ``action_names``. ``env_args`` holds the control frequency.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from sim_bridge.errors import InvalidRequest
from sim_bridge.trajectories.importers.episode import RawEpisode
from sim_bridge.trajectories.importers.hdf5 import has_key
from sim_bridge.trajectories.importers.options import ImportOptions

_POSITIONS = {"free": 7, "ball": 4, "hinge": 1, "slide": 1}
_VELOCITIES = {"free": 6, "ball": 3, "hinge": 1, "slide": 1}


def recognises(path: Path) -> bool:
    return has_key(path, "data")


def read(path: Path, options: ImportOptions) -> RawEpisode:
    """InvalidRequest for another layout, or for actions that nobody has named."""
    import h5py

    with h5py.File(path, "r") as file:
        demos = sorted(file["data"], key=_number)
        if not options.episode < len(demos):
            last = len(demos) - 1
            raise InvalidRequest(f"{path}: no episode {options.episode}; valid: 0 to {last}")
        demo = file["data"][demos[options.episode]]
        try:
            return _episode(path, json.loads(file["data"].attrs["env_args"]), demo, options)
        except (KeyError, TypeError, ValueError, ElementTree.ParseError) as error:
            raise InvalidRequest(f"{path} is not a robomimic dataset: {error!r}") from None


def _number(name: str) -> int:
    digits = name.rpartition("_")[2]
    return int(digits) if digits.isdigit() else -1


def _episode(path: Path, env: dict[str, Any], demo: Any, options: ImportOptions) -> RawEpisode:
    actions = np.asarray(demo["actions"], dtype=float)
    if len(options.action_names) != actions.shape[1]:
        raise InvalidRequest(
            f"{path}: {actions.shape[1]} action dimensions without names; give them in order as "
            f"action_names (got {len(options.action_names)})"
        )
    frequency_hz = env.get("env_kwargs", {}).get("control_freq")
    states: dict[str, Any] = {}
    if "states" in demo and "model_file" in demo.attrs and options.states != "none":
        states = _decode(np.asarray(demo["states"], dtype=float), demo.attrs["model_file"])
    rewards = np.asarray(demo["rewards"], dtype=float) if "rewards" in demo else np.zeros(0)
    return RawEpisode(
        path=path,
        task=str(env.get("env_name", path.stem)),
        source="robomimic",
        actions=actions,
        action_names=options.action_names,
        period_s=1.0 / frequency_hz if frequency_hz else None,
        rewards=rewards,
        success=bool(len(rewards) and rewards[-1] > 0),
        meta={"demo": demo.name.rpartition("/")[2], "env_name": env.get("env_name")},
        **states,
    )


@dataclass(frozen=True)
class _Joint:
    kind: str
    name: str  # of the joint, or of the body for a free joint


def _decode(states: np.ndarray, model_file: str) -> dict[str, Any]:
    """Fields of ``RawEpisode`` from rows of ``[time, qpos, qvel]``."""
    joints = _joints(model_file)
    nq, nv = (sum(sizes[j.kind] for j in joints) for sizes in (_POSITIONS, _VELOCITIES))
    if states.ndim != 2 or states.shape[1] < 1 + nq + nv:
        raise ValueError(f"states of shape {states.shape} for a model with {nq} + {nv} values")
    qpos, qvel = states[:, 1 : 1 + nq], states[:, 1 + nq : 1 + nq + nv]
    single, bodies = [], []
    q = v = 0
    for joint in joints:
        if joint.kind in ("hinge", "slide"):
            single.append((joint.name, qpos[:, q], qvel[:, v]))
        elif joint.kind == "free":
            bodies.append((joint.name, *_free(qpos[:, q : q + 7], qvel[:, v : v + 6])))
        q, v = q + _POSITIONS[joint.kind], v + _VELOCITIES[joint.kind]
    count = len(states)
    return {
        "joint_names": tuple(name for name, _, _ in single),
        "joint_positions": _columns([p for _, p, _ in single], count),
        "joint_velocities": _columns([r for _, _, r in single], count),
        "body_names": tuple(name for name, _, _ in bodies),
        "body_poses": np.array([p for _, p, _ in bodies]).reshape(-1, count, 7).swapaxes(0, 1),
        "body_twists": np.array([t for _, _, t in bodies]).reshape(-1, count, 6).swapaxes(0, 1),
    }


def _columns(columns: list[np.ndarray], count: int) -> np.ndarray:
    return np.array(columns).reshape(-1, count).T


def _joints(model_file: str) -> list[_Joint]:
    """Joints in document order, which is MuJoCo's."""
    out: list[_Joint] = []

    def visit(body: ElementTree.Element, name: str) -> None:
        for child in body:
            if child.tag in ("joint", "freejoint"):
                kind = "free" if child.tag == "freejoint" else child.get("type", "hinge")
                own = child.get("name", f"joint{len(out)}")
                out.append(_Joint(kind, name if kind == "free" else own))
        for child in body.findall("body"):
            visit(child, child.get("name", ""))

    for world in ElementTree.fromstring(model_file).findall("worldbody"):
        visit(world, "world")
    return out


def _free(qpos: np.ndarray, qvel: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Poses xyzw and twists, world frame, of MuJoCo's wxyz and body-frame angular velocity."""
    pose = qpos[:, [0, 1, 2, 4, 5, 6, 3]]
    w, axis, spin = qpos[:, 3:4], qpos[:, 4:7], qvel[:, 3:]
    t = 2.0 * np.cross(axis, spin)
    return pose, np.hstack([qvel[:, :3], spin + w * t + np.cross(axis, t)])
