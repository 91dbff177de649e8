"""Temporal ensembling: every step infers, and all chunks vote on every action."""

from __future__ import annotations

import numpy as np

from policy_node.execution.inference import timed
from policy_node.execution.report import ExecutionReport, Recorder
from policy_node.execution.settings import ExecutionSettings
from policy_node.policy import Policy
from sim_bridge.types import Observation


class TemporalEnsemble:
    """Averages what the chunks so far say about this step, as ACT does.

    The weights are ``exp(-coefficient * i)`` with ``i = 0`` for the oldest chunk (Zhao et al.
    2023, arXiv:2304.13705, algorithm 2); a negative coefficient favours new chunks.
    """

    def __init__(self, policy: Policy, coefficient: float = 0.01) -> None:
        self._policy = policy
        self._coefficient = coefficient
        self._chunks: list[tuple[int, np.ndarray]] = []
        self._recorder = Recorder()

    def reset(self, seed: int | None = None, instruction: str = "") -> None:
        self._policy.reset(seed, instruction)
        self._chunks.clear()
        self._recorder.reset()

    def next_actions(self, observation: Observation) -> np.ndarray:
        finished = timed(observation, self._policy.infer)
        if self._recorder.inferences:
            self._recorder.stall(finished.seconds)
        self._recorder.inference(finished.seconds)
        step = observation.step
        self._chunks.append((step, finished.actions))
        self._chunks = [(s, a) for s, a in self._chunks if 0 <= step - s < len(a)]
        votes = np.stack([actions[step - start] for start, actions in self._chunks])
        weights = np.exp(-self._coefficient * np.arange(len(votes)))
        action = weights @ votes / weights.sum()
        # An average lies between the votes; rounding must not carry it past a bound.
        action = np.clip(action, votes.min(0), votes.max(0))
        self._recorder.executed(action[None], self._recorder.inferences, 0)
        return action[None]

    def report(self) -> ExecutionReport:
        return self._recorder.report()

    def close(self) -> None:
        pass


def make(policy: Policy, settings: ExecutionSettings) -> TemporalEnsemble:
    return TemporalEnsemble(policy, settings.ensemble_coefficient)
