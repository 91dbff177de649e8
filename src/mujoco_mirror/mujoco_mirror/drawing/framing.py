"""A camera that frames the robots and the objects they can move, for any model."""

from __future__ import annotations

import math

import mujoco
import numpy as np

_PLANE = int(mujoco.mjtGeom.mjGEOM_PLANE)
_DRAWN_GROUPS = 3
# Seconds of simulation: backing off must be quick enough to lose nothing from sight.
_FOLLOW_S, _BACK_OFF_S = 1.0, 0.25


class Cameraman:
    """Keeps what moves in the picture: frames the first state, then follows without haste.

    Time that goes back (a new episode) or ``restart`` frames anew. The same state at the same
    time always gives the same picture.
    """

    def __init__(self, aspect: float) -> None:
        self._aspect = aspect
        self._camera: mujoco.MjvCamera | None = None
        self._time_s = 0.0

    def restart(self) -> None:
        self._camera = None

    def camera(self, model: mujoco.MjModel, data: mujoco.MjData) -> mujoco.MjvCamera:
        elapsed = data.time - self._time_s
        self._time_s = data.time
        if self._camera is None or elapsed < 0:
            self._camera = frame(model, data, self._aspect)
        elif elapsed > 0:
            wanted, now = frame(model, data, self._aspect), self._camera
            nearer = wanted.distance < now.distance
            now.distance += _share(elapsed, _FOLLOW_S if nearer else _BACK_OFF_S) * (
                wanted.distance - now.distance
            )
            now.lookat = now.lookat + _share(elapsed, _FOLLOW_S) * (wanted.lookat - now.lookat)
        return self._camera


def _share(elapsed_s: float, time_constant_s: float) -> float:
    return 1.0 - math.exp(-elapsed_s / time_constant_s)


def frame(
    model: mujoco.MjModel,
    data: mujoco.MjData,
    aspect: float,
    azimuth_deg: float = 140.0,
    elevation_deg: float = -24.0,
    margin: float = 0.06,
) -> mujoco.MjvCamera:
    """Free camera from the given direction, as close as ``margin`` (a fraction of the picture on
    each side) allows; ``aspect`` is width / height. Needs ``mj_kinematics`` to have run.
    """
    points = subject_points(model, data)
    forward, right, up = _axes(math.radians(azimuth_deg), math.radians(elevation_deg))
    tan_y = math.tan(math.radians(float(model.vis.global_.fovy)) / 2)
    tangents = np.array([tan_y * aspect, tan_y]) * (1 - 2 * margin)
    side = np.stack([points @ right, points @ up], axis=1)
    depth = points @ forward
    # The frustum's planes must hold all points: per axis the two extreme lines through them
    # meet at the closest eye position; the axis that needs more distance decides.
    high = np.max(side - depth[:, None] * tangents, axis=0)
    low = np.min(side + depth[:, None] * tangents, axis=0)
    eye_side = (high + low) / 2
    eye_depth = float(np.min((low - high) / (2 * tangents)))
    distance = float(np.median(depth)) - eye_depth
    camera = mujoco.MjvCamera()
    camera.type = mujoco.mjtCamera.mjCAMERA_FREE
    camera.azimuth, camera.elevation, camera.distance = azimuth_deg, elevation_deg, distance
    camera.lookat = eye_side[0] * right + eye_side[1] * up + (eye_depth + distance) * forward
    return camera


def subject_points(model: mujoco.MjModel, data: mujoco.MjData) -> np.ndarray:
    """Corners ``(n, 3)`` of the drawn geoms of all trees that can move; of all if none can."""
    movable = _movable_roots(model)
    geoms = [
        g
        for g in range(model.ngeom)
        if int(model.geom_type[g]) != _PLANE and int(model.geom_group[g]) < _DRAWN_GROUPS
    ]
    chosen = [g for g in geoms if int(model.body_rootid[model.geom_bodyid[g]]) in movable] or geoms
    if not chosen:
        return np.array([[-0.5, -0.5, 0.0], [0.5, 0.5, 0.5]])
    signs = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], dtype=float)
    local = model.geom_aabb[chosen][:, None, :3] + signs * model.geom_aabb[chosen][:, None, 3:]
    turned = np.einsum("gij,gcj->gci", data.geom_xmat[chosen].reshape(-1, 3, 3), local)
    return (turned + data.geom_xpos[chosen][:, None, :]).reshape(-1, 3)


def _movable_roots(model: mujoco.MjModel) -> set[int]:
    jointed = {int(model.body_rootid[b]) for b in model.jnt_bodyid}
    mocap = {
        int(model.body_rootid[b]) for b in range(model.nbody) if int(model.body_mocapid[b]) >= 0
    }
    return (jointed | mocap) - {0}


def _axes(azimuth: float, elevation: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """MuJoCo's free camera looks along (cos el cos az, cos el sin az, sin el)."""
    forward = np.array(
        [
            math.cos(elevation) * math.cos(azimuth),
            math.cos(elevation) * math.sin(azimuth),
            math.sin(elevation),
        ]
    )
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    return forward, right, np.cross(right, forward)
