"""Free bodies that a robot holds, told from their motion, not from contact forces.

A grasp by friction is what local physics gets wrong first: the contacts of a body picked up by
its pose alone need many steps to settle, and simulators change friction and collision at run
time. A body that moved with a link as one is taken to be held by it and by its neighbours that
moved the same way; when one of them leaves, as an opening finger does, the body is free.
"""

from __future__ import annotations

import mujoco
import numpy as np

from mujoco_mirror.model.rotations import angle_between, compose, inverse, to_xyzw

# Below this motion between two states nothing can be said about who moved it.
_STILL_M = 5e-4
# How far the body may slip on its holder, relative to how far it moved, and at rest.
_SLIP = 0.25
_SLIP_M = 2e-3
# How far holders may move against each other while the body is still between them.
_RELEASE_M = 5e-3


class HeldBodies:
    """``free_bodies`` maps the index of a free body in the state to its body in ``model``.

    Bodies that carry joints, such as a floating base, are never held.
    """

    def __init__(self, model: mujoco.MjModel, free_bodies: dict[int, int]) -> None:
        single = {row: b for row, b in free_bodies.items() if _is_single(model, b)}
        moving = [b for b in range(model.nbody) if int(model.body_treeid[b]) >= 0]
        self._links = np.setdiff1d(np.array(moving, dtype=int), list(single.values()))
        parents = model.body_parentid[self._links]
        # Links with a common parent, and parent and child: the parts of one gripper.
        self._near = (
            (parents[:, None] == parents)
            | (parents[:, None] == self._links)
            | (self._links[:, None] == parents)
        )
        np.fill_diagonal(self._near, True)
        self._bodies = [_Body(row, _radius_m(model, b)) for row, b in single.items()]
        self._started = False

    def put(self, body_poses: np.ndarray, data: mujoco.MjData) -> None:
        """The next state: poses of all its bodies, and ``data`` with its kinematics."""
        links = self._link_poses(data)
        for body in self._bodies:
            pose = body_poses[body.row]
            if self._started:
                body.follow(pose, links, self._near)
            body.pose, body.grasps = pose, compose(inverse(links), pose)
        self._started = True

    def carry(self, data: mujoco.MjData) -> tuple[dict[int, np.ndarray], set[int]]:
        """With the links where they are in ``data``: poses of the bodies that are held, and those
        that were but were let go since the latest state, by their index in the state."""
        held, let_go = {}, set()
        grasped = [body for body in self._bodies if len(body.holders)]
        links = self._link_poses(data) if grasped else np.zeros((0, 7))
        for body in grasped:
            poses = compose(links[body.holders], body.grasps[body.holders])
            if np.all(_distance(poses, poses[0], body.radius_m) < _RELEASE_M):
                held[body.row] = poses[0]
            else:
                let_go.add(body.row)
        return held, let_go

    def _link_poses(self, data: mujoco.MjData) -> np.ndarray:
        return np.concatenate([data.xpos[self._links], to_xyzw(data.xquat[self._links])], axis=1)


class _Body:
    """``holders`` are indices of links, the one nearest to the robot's base first; ``grasps`` is
    the body's pose in the frame of each link."""

    def __init__(self, row: int, radius_m: float) -> None:
        self.row = row
        self.radius_m = radius_m
        self.pose = np.zeros(7)
        self.grasps = np.zeros((0, 7))
        self.holders = np.zeros(0, dtype=int)

    def follow(self, pose: np.ndarray, links: np.ndarray, near: np.ndarray) -> None:
        """The body is at ``pose`` now and the links at ``links``: find out what holds it."""
        if not len(links):
            return
        moved = float(_distance(self.pose, pose, self.radius_m))
        slips = _distance(compose(links, self.grasps), pose, self.radius_m)
        if np.all(slips[self.holders] < max(_SLIP_M, _SLIP * moved)) and len(self.holders):
            return
        together = near[int(np.argmin(slips))] & (slips < _SLIP * moved)
        self.holders = np.flatnonzero(together & (moved > _STILL_M))


def _is_single(model: mujoco.MjModel, body: int) -> bool:
    return int(np.sum(model.dof_treeid == model.body_treeid[body])) == 6


def _radius_m(model: mujoco.MjModel, body: int) -> float:
    return float(model.geom_rbound[model.geom_bodyid == body].max(initial=0.0))


def _distance(a: np.ndarray, b: np.ndarray, radius_m: float) -> np.ndarray:
    """Between poses ``(..., 7)`` [m]: of the origin, and of the surface by turning."""
    turned = angle_between(a[..., 3:], b[..., 3:])
    return np.linalg.norm(a[..., :3] - b[..., :3], axis=-1) + radius_m * turned
