"""A simulator in this process as an ``Environment``, through the same session as on the wire."""

from __future__ import annotations

import numpy as np

from sim_bridge.bridge.session import Session
from sim_bridge.simulators.protocol import Simulator
from sim_bridge.types import StepReply

_CLIENT = "local"


class LocalEnvironment:
    """Raises what the bridge would answer."""

    def __init__(self, simulator: Simulator, cameras: tuple[str, ...] = ()) -> None:
        self._session = Session(simulator)
        self._cameras = cameras
        self._sequence = 0

    def reset(self, seed: int | None = None) -> StepReply:
        self._sequence += 1
        return self._session.reset(_CLIENT, self._sequence, seed=seed, cameras=self._cameras)

    def step(self, actions: np.ndarray) -> StepReply:
        self._sequence += 1
        rows = np.atleast_2d(actions)
        return self._session.step(_CLIENT, self._sequence, rows.ravel(), len(rows), self._cameras)
