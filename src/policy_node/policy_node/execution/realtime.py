"""Real-time chunking: a new chunk continues the actions executed while it was inferred."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

import numpy as np

from policy_node.execution.infer_ahead import InferAhead
from policy_node.execution.inference import Finished, InferenceRunner
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


class RealTimeChunking(InferAhead):
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
        self._execution_horizon = execution_horizon
        self._initial_delay = initial_delay
        super().__init__(policy, inference, clock)

    def _forget(self) -> None:
        self._delays = deque([self._initial_delay], maxlen=_DELAYS_REMEMBERED)
        self._chunk_start = 0
        self._old = np.zeros((0, 0))
        self._frozen = 0

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
            super()._submit(observation)

    def _merge(self, finished: Finished, step: int) -> int:
        self._delays.append(step - finished.observation_step)
        self._chunk_start = finished.observation_step
        actions = self._continued(finished.actions)
        return self._plan.merge(actions, finished.observation_step, step, lambda old, new: new)

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


def make(policy: Policy, settings: ExecutionSettings) -> RealTimeChunking:
    delay = max(1, settings.delay_steps)
    return RealTimeChunking(policy, settings.execution_horizon, delay, settings.inference())
