"""States from plain ``joint_states`` and tf, as any ROS 2 robot publishes them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mujoco_mirror.model.rotations import compose
from sim_bridge.types import SimState

_MAX_CHAIN = 100


class TfTree:
    """The latest transform of each frame; looks poses up along the chain of parents."""

    def __init__(self) -> None:
        self._parents: dict[str, tuple[str, np.ndarray]] = {}

    def put(self, parent: str, child: str, pose: Sequence[float]) -> None:
        """``pose (7,)`` of ``child`` as seen from ``parent``."""
        self._parents[child.lstrip("/")] = (parent.lstrip("/"), np.array(pose, dtype=float))

    def pose(self, frame: str, root: str) -> np.ndarray | None:
        """``(7,)`` of ``frame`` as seen from ``root``; None when they are not connected."""
        frame, root = frame.lstrip("/"), root.lstrip("/")
        out = np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0])
        for _ in range(_MAX_CHAIN):
            if frame == root:
                return out
            if frame not in self._parents:
                return None
            frame, pose = self._parents[frame]
            out = compose(pose, out)
        return None


class JointSource:
    """Merges joint states of several publishers with the poses of the ``bases`` in ``root``.

    Every message of joints is one step of one episode; when time jumps back, a new episode starts.
    """

    def __init__(self, bases: Sequence[str] = (), root: str = "world") -> None:
        self.tf = TfTree()
        self._bases = tuple(bases)
        self._root = root
        self._joints: dict[str, tuple[float, float]] = {}
        self._time_s = -np.inf
        self._episode = 1
        self._step = 0

    def on_joints(
        self,
        time_s: float,
        names: Sequence[str],
        positions: Sequence[float],
        velocities: Sequence[float] = (),
    ) -> SimState | None:
        """The state now; None for a message without positions, or one a little old."""
        if not len(positions):
            return None
        if time_s < self._time_s - 1.0:
            self._episode, self._step = self._episode + 1, 0
        elif time_s < self._time_s:
            return None
        self._time_s = time_s
        self._step += 1
        speeds = velocities if len(velocities) == len(names) else np.zeros(len(names))
        self._joints.update(zip(names, zip(positions, speeds, strict=True), strict=True))
        placed = [(b, p) for b in self._bases if (p := self.tf.pose(b, self._root)) is not None]
        values = np.array(list(self._joints.values()), dtype=float).reshape(-1, 2)
        return SimState(
            time_s=time_s,
            episode=self._episode,
            step=self._step,
            joint_names=tuple(self._joints),
            joint_positions=values[:, 0].copy(),
            joint_velocities=values[:, 1].copy(),
            body_names=tuple(b for b, _ in placed),
            body_poses=np.array([p for _, p in placed]).reshape(-1, 7),
            body_twists=np.zeros((len(placed), 6)),
        )
