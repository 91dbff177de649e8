"""Episodes as trajectories, recorded while they run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from sim_bridge.episodes.running import Subscriber
from sim_bridge.trajectories.trajectory import Trajectory, TrajectoryRecorder
from sim_bridge.types import EpisodeResult, SimSpec, StepReply


class Recording(Subscriber):
    """Keeps the last episode as ``trajectory``, with every state; None for one without steps."""

    every_step = True

    def __init__(self, spec: SimSpec, meta: dict[str, Any] | None = None) -> None:
        self._spec = spec
        self._meta = meta
        self.trajectory: Trajectory | None = None

    def on_start(self, seed: int | None, first: StepReply) -> None:
        self._recorder = TrajectoryRecorder(self._spec, seed, first.state)
        self.trajectory = None

    def on_step(self, actions: np.ndarray, reply: StepReply) -> None:
        self._recorder.add(actions[0], reply.state, reply.rewards[0])

    def on_end(self, result: EpisodeResult) -> None:
        if result.steps:
            self.trajectory = self._recorder.finish(result.success, self._meta)


class TrajectoryFile(Recording):
    """Writes an episode to ``path`` at its end, unless it was canceled."""

    def __init__(self, spec: SimSpec, path: Path, meta: dict[str, Any] | None = None) -> None:
        super().__init__(spec, meta)
        self.path = path

    def on_end(self, result: EpisodeResult) -> None:
        super().on_end(result)
        if self.trajectory is not None and not result.canceled:
            self.trajectory.save(self.path)
