"""A simulator in this process as an ``Environment``, through the same session as on the wire."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sim_bridge.bridge.session import Answer, Session
from sim_bridge.simulators.protocol import Simulator
from sim_bridge.types import Observation, SimState

_CLIENT = "local"


@dataclass(frozen=True)
class LocalReply:
    state: SimState
    observation: Observation
    rewards: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray
    success: np.ndarray
    sim_wall_time_s: float


class LocalEnvironment:
    """Raises what the bridge would answer."""

    def __init__(self, simulator: Simulator, cameras: tuple[str, ...] = ()) -> None:
        self._session = Session(simulator)
        self._cameras = cameras
        self._sequence = 0

    def reset(self, seed: int | None = None) -> LocalReply:
        self._sequence += 1
        answer = self._session.reset(_CLIENT, self._sequence, seed=seed, cameras=self._cameras)
        return _reply(answer)

    def step(self, actions: np.ndarray) -> LocalReply:
        self._sequence += 1
        rows = np.atleast_2d(actions)
        answer = self._session.step(_CLIENT, self._sequence, rows.ravel(), len(rows), self._cameras)
        return _reply(answer)


def _reply(answer: Answer) -> LocalReply:
    outcomes = answer.outcomes
    return LocalReply(
        state=answer.state,
        observation=answer.observation,
        rewards=np.array([o.reward for o in outcomes]),
        terminated=np.array([o.terminated for o in outcomes]),
        truncated=np.array([o.truncated for o in outcomes]),
        success=np.array([o.success for o in outcomes]),
        sim_wall_time_s=answer.sim_wall_time_s,
    )
