"""From a model file to a scene that looks good: load, simplify, dress, compile."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import mujoco
import numpy as np

from mujoco_mirror.drawing.dressing import Studio, dress, drop_detail, floor_height, robot_extent
from mujoco_mirror.drawing.floor_shadow import FloorShadow
from mujoco_mirror.drawing.framing import Subject
from mujoco_mirror.drawing.quality import Quality
from sim_bridge.errors import OperationFailed

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Scene:
    """``physics`` is the model as it came, ``drawn`` the dressed one: same joints, same order."""

    physics: mujoco.MjModel
    drawn: mujoco.MjModel
    floor_shadow: FloorShadow | None


def load_scene(path: Path, quality: Quality, dressed: bool = True) -> Scene:
    """Compile the MJCF or URDF at ``path``. OperationFailed with MuJoCo's words when it cannot."""
    try:
        physics = mujoco.MjModel.from_xml_path(str(path))
        spec = mujoco.MjSpec.from_file(str(path))
        extent = robot_extent(physics)
        if quality.mesh_detail:
            saved = drop_detail(spec, physics, extent * quality.mesh_detail)
            _log.info("quality %s: %d triangles fewer", quality.name, saved)
        if not dressed:
            return Scene(physics, spec.compile(), None)
        center, size = _subject(physics)
        studio = Studio()
        dress(spec, center, size, studio)
        for geom in spec.geoms:
            geom.contype = geom.conaffinity = 0
        drawn = spec.compile()
    except ValueError as error:
        raise OperationFailed(f"model {path}: {error}") from error
    floor = floor_height(drawn)
    shadow = None if floor is None else FloorShadow(floor, studio.key_direction, studio.shadow)
    return Scene(physics, drawn, shadow)


def _subject(model: mujoco.MjModel) -> tuple[np.ndarray, float]:
    """Middle and size [m] of what can move, at the reference pose."""
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    points = Subject(model).points(data)
    return (points.min(axis=0) + points.max(axis=0)) / 2, float(np.ptp(points, axis=0).max()) * 1.5
