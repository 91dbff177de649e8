"""A camera that frames the robots, the objects they can move and the goals, for any model."""

from __future__ import annotations

import math
from dataclasses import dataclass

import mujoco
import numpy as np

_PLANE = int(mujoco.mjtGeom.mjGEOM_PLANE)
_DRAWN_GROUPS = 3
_GOAL_WORDS = ("goal", "target")
_SIGNS = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], dtype=float)
# Seconds of simulation: backing off must be quick enough to be calm at a run.
_FOLLOW_S, _BACK_OFF_S = 1.0, 0.25
# Fractions of the picture on each side: where the camera wants the subject, and what it never
# gives up on the way there.
_MARGIN, _LEAST_MARGIN = 0.07, 0.035
_AZIMUTH_DEG, _ELEVATION_DEG = 140.0, -24.0


def is_goal(name: str) -> bool:
    """Whether a name in a model says that it marks where something shall go."""
    return any(word in name.lower() for word in _GOAL_WORDS)


class Subject:
    """What a picture of the model must hold: all trees that can move, and the goals."""

    def __init__(self, model: mujoco.MjModel) -> None:
        self.fovy_rad = math.radians(float(model.vis.global_.fovy))
        shown = (model.geom_type != _PLANE) & (model.geom_group < _DRAWN_GROUPS)
        wanted = _wanted_bodies(model)[model.geom_bodyid]
        wanted |= [is_goal(model.geom(g).name) for g in range(model.ngeom)]
        self._geoms = np.flatnonzero(shown & wanted if np.any(shown & wanted) else shown)
        self._sites = np.array(
            [s for s in range(model.nsite) if is_goal(model.site(s).name)], dtype=int
        )
        aabb = model.geom_aabb[self._geoms][:, None]
        self._corners = aabb[..., :3] + _SIGNS * aabb[..., 3:]
        self._site_corners = _SIGNS * model.site_size[self._sites][:, None].max(-1, keepdims=True)

    def points(self, data: mujoco.MjData) -> np.ndarray:
        """Corners ``(n, 3)`` of the boxes around all of it; needs ``mj_kinematics``."""
        turns = data.geom_xmat[self._geoms].reshape(-1, 3, 3)
        corners = self._corners @ turns.transpose(0, 2, 1) + data.geom_xpos[self._geoms][:, None]
        marks = self._site_corners + data.site_xpos[self._sites][:, None]
        points = np.concatenate([corners.reshape(-1, 3), marks.reshape(-1, 3)])
        return points if len(points) else np.array([[-0.5, -0.5, 0.0], [0.5, 0.5, 0.5]])


class Cameraman:
    """Keeps what moves in the picture: frames the first state, then follows without haste, but
    loses nothing from sight.

    Time that goes back (a new episode) or ``restart`` frames anew. The same states at the same
    times always give the same pictures.
    """

    def __init__(self, subject: Subject, aspect: float) -> None:
        self._subject, self._aspect = subject, aspect
        self._eye: np.ndarray | None = None
        self._camera: mujoco.MjvCamera | None = None
        self._time_s = 0.0

    def restart(self) -> None:
        self._camera = None

    def camera(self, data: mujoco.MjData) -> mujoco.MjvCamera:
        elapsed = data.time - self._time_s
        self._time_s = data.time
        if self._camera is not None and elapsed == 0:
            return self._camera
        sight = _Sight.of(self._subject, data, self._aspect)
        wanted = sight.closest_eye(_MARGIN)
        if self._camera is None or self._eye is None or elapsed < 0:
            self._eye = wanted
        else:
            nearer = wanted[2] > self._eye[2]
            self._eye[:2] += _share(elapsed, _FOLLOW_S) * (wanted - self._eye)[:2]
            self._eye[2] += _share(elapsed, _FOLLOW_S if nearer else _BACK_OFF_S) * (
                wanted[2] - self._eye[2]
            )
            self._eye = sight.nearest_eye(self._eye, _LEAST_MARGIN)
        self._camera = sight.camera(self._eye)
        return self._camera


def _share(elapsed_s: float, time_constant_s: float) -> float:
    return 1.0 - math.exp(-elapsed_s / time_constant_s)


def frame(
    subject: Subject, data: mujoco.MjData, aspect: float, margin: float = _MARGIN
) -> mujoco.MjvCamera:
    """Free camera as close as ``margin`` (a fraction of the picture on each side) allows;
    ``aspect`` is width / height. Needs ``mj_kinematics`` to have run.
    """
    sight = _Sight.of(subject, data, aspect)
    return sight.camera(sight.closest_eye(margin))


@dataclass(frozen=True)
class _Sight:
    """Points along the camera's axes: ``side (n, 2)`` to the right and up, ``depth (n,)``.

    An eye ``(3,)`` is a position along the same axes: right, up, forward.
    """

    side: np.ndarray
    depth: np.ndarray
    tangents: np.ndarray
    axes: np.ndarray

    @classmethod
    def of(cls, subject: Subject, data: mujoco.MjData, aspect: float) -> _Sight:
        points = subject.points(data)
        forward, right, up = _axes(math.radians(_AZIMUTH_DEG), math.radians(_ELEVATION_DEG))
        axes = np.stack([right, up, forward])
        along = points @ axes.T
        tan_y = math.tan(subject.fovy_rad / 2)
        return cls(along[:, :2], along[:, 2], np.array([tan_y * aspect, tan_y]), axes)

    def _limits(self, margin: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The frustum's planes must hold all points: at depth ``d`` an eye's side may be
        ``low + t d`` to ``high - t d``; returns ``low``, ``high`` and ``t``, ``(2,)`` each."""
        tangents = self.tangents * (1 - 2 * margin)
        reach = self.depth[:, None] * tangents
        return np.max(self.side - reach, axis=0), np.min(self.side + reach, axis=0), tangents

    def closest_eye(self, margin: float) -> np.ndarray:
        low, high, tangents = self._limits(margin)
        return np.array([*(low + high) / 2, np.min((high - low) / (2 * tangents))])

    def nearest_eye(self, eye: np.ndarray, margin: float) -> np.ndarray:
        """The eye itself where it sees all; else moved back, then aside, as little as needed."""
        low, high, tangents = self._limits(margin)
        depth = min(eye[2], float(np.min((high - low) / (2 * tangents))))
        return np.array([*np.clip(eye[:2], low + depth * tangents, high - depth * tangents), depth])

    def camera(self, eye: np.ndarray) -> mujoco.MjvCamera:
        camera = mujoco.MjvCamera()
        camera.type = mujoco.mjtCamera.mjCAMERA_FREE
        camera.azimuth, camera.elevation = _AZIMUTH_DEG, _ELEVATION_DEG
        camera.distance = float(np.median(self.depth)) - eye[2]
        camera.lookat = (eye + [0.0, 0.0, camera.distance]) @ self.axes
        return camera


def _wanted_bodies(model: mujoco.MjModel) -> np.ndarray:
    """Flags ``(nbody,)``: part of a tree with a joint or a mocap body, or named as a goal."""
    root = model.body_rootid
    movable = np.zeros(model.nbody, bool)
    movable[root[model.jnt_bodyid]] = True
    movable[root[np.flatnonzero(model.body_mocapid >= 0)]] = True
    movable[0] = False
    return movable[root] | [is_goal(model.body(b).name) for b in range(model.nbody)]


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
