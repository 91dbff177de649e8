"""Real-time chunking: a new chunk continues the actions executed while it was inferred."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

import numpy as np

from policy_node.execution.inference import BackgroundInference, Finished, InferenceRunner
from policy_node.execution.plan import Plan
from policy_node.execution.report import ExecutionReport, Recorder
from policy_node.execution.settings import ExecutionSettings
from policy_node.execution.strategy import InpaintingPolicy
from policy_node.policy import Policy
from sim_bridge.types import Observation

_DELAYS_REMEMBERED = 10


def soft_mask(planned: int, delay: int, horizon: int) -> np.ndarray:
    """How much the old plan counts for each action of the new chunk, ``(H,)`` from 1 to 0.

    The first ``delay`` actions are executed before the chunk arrives and stay; the rest of the
    ``planned`` ones fade; past them the new chunk is free. Equation 5 of Black et al. 2025,
    arXiv:2506.07339, where ``planned`` is H - s.
    """
    index = np.arange(horizon)
    c = (planned - index) / (planned - delay + 1)
    fading = c * np.expm1(c) / np.expm1(1.0)
    return np.where(index < delay, 1.0, np.where(index < planned, fading, 0.0))


class RealTimeChunking:
    """Infers every ``execution_horizon`` steps, ahead of need, without a jump at the seam.

    The actions that will be executed during the inference (its *delay*: the largest of the
    last ten, in steps, at least ``initial_delay`` at first) are frozen. A policy that can
    infill (``InpaintingPolicy``) is given them and continues them. Of any other policy, the
    chunk is blended with the old plan by ``soft_mask``: what remains of the method when one
    has no access to the denoising steps of a flow policy.
    """

    def __init__(
        self,
        policy: Policy,
        execution_horizon: int = 4,
        initial_delay: int = 1,
        inference: InferenceRunner | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        if execution_horizon < 1:
            raise ValueError(f"execution_horizon is {execution_horizon}; valid: 1 or more")
        self._policy = policy
        self._execution_horizon = execution_horizon
        self._initial_delay = initial_delay
        self._inference = inference or BackgroundInference()
        self._clock = clock
        self._plan = Plan()
        self._recorder = Recorder()
        self._forget()

    def reset(self, seed: int | None = None, instruction: str = "") -> None:
        self._inference.close()
        self._policy.reset(seed, instruction)
        self._plan.clear()
        self._recorder.reset()
        self._forget()

    def _forget(self) -> None:
        self._delays = deque([self._initial_delay], maxlen=_DELAYS_REMEMBERED)
        self._chunk_start = 0
        self._old = np.zeros((0, 0))
        self._frozen = 0

    def next_actions(self, observation: Observation) -> np.ndarray:
        step = observation.step
        finished = self._inference.poll(step)
        if finished is not None:
            self._take_in(finished, step)
        if not self._inference.busy and self._is_due(step):
            self._submit(observation)
        while not len(self._plan.remaining(step)):
            self._wait(observation)
        action = self._plan.take(step)[None]
        self._recorder.executed(action, self._plan.number, len(self._plan))
        return action

    def report(self) -> ExecutionReport:
        return self._recorder.report()

    def close(self) -> None:
        self._inference.close()

    def _is_due(self, step: int) -> bool:
        planned = len(self._plan.remaining(step))
        return planned <= max(self._delays) or step - self._chunk_start >= self._execution_horizon

    def _submit(self, observation: Observation) -> None:
        self._old = self._plan.remaining(observation.step).copy()
        self._frozen = min(max(self._delays), len(self._old))
        given = self._old[: self._frozen]
        if isinstance(self._policy, InpaintingPolicy) and len(given):
            infill = self._policy.infer_continuing
            self._inference.submit(observation, lambda o: infill(o, given))
        else:
            self._inference.submit(observation, self._policy.infer)

    def _take_in(self, finished: Finished, step: int) -> None:
        self._recorder.inference(finished.seconds)
        self._delays.append(step - finished.observation_step)
        actions = self._continued(finished.actions)
        late = self._plan.merge(actions, finished.observation_step, step, lambda old, new: new)
        self._recorder.late(late)
        self._chunk_start = finished.observation_step

    def _continued(self, actions: np.ndarray) -> np.ndarray:
        """The new chunk, made to continue the plan it replaces."""
        old = self._old[: len(actions)]
        if not len(old):
            return actions
        continued = np.array(actions)
        if isinstance(self._policy, InpaintingPolicy):
            continued[: self._frozen] = old[: self._frozen]
            return continued
        weight = soft_mask(len(old), self._frozen, len(actions))[: len(old), None]
        continued[: len(old)] = weight * old + (1.0 - weight) * continued[: len(old)]
        return continued

    def _wait(self, observation: Observation) -> None:
        if not self._inference.busy:
            self._submit(observation)
        started = self._clock()
        first = self._recorder.inferences == 0
        self._take_in(self._inference.wait(), observation.step)
        if not first:
            self._recorder.stall(self._clock() - started)


def make(policy: Policy, settings: ExecutionSettings) -> RealTimeChunking:
    delay = max(1, settings.delay_steps)
    return RealTimeChunking(policy, settings.execution_horizon, delay, settings.inference())
