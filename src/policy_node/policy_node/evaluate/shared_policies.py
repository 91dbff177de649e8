"""Policies for several environments at once, in the layout of the task."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

from policy_node.execution.strategy import InpaintingPolicy
from policy_node.policies.servers.address import is_server_address
from policy_node.policy import Policy, PolicySource, PolicySpec
from policy_node.rollout.policy_client import arrange
from sim_bridge.types import ActionChunk, ActionSpec, Observation


class SharedPolicies:
    """Hands each environment's thread its own policy of one source.

    A policy in this process computes one chunk at a time, so that the answer to an observation
    never depends on what else is asked; a model server has a connection per environment.
    """

    def __init__(self, source: PolicySource, address: str, action: ActionSpec) -> None:
        self._source = source
        self._action = action
        self._lock = threading.Lock()
        self._concurrent = is_server_address(address)

    def for_env(self, name: str) -> Policy:
        inner = self._source.for_client(name)
        lock = threading.Lock() if self._concurrent else self._lock
        kind = _InpaintingTaskPolicy if isinstance(inner, InpaintingPolicy) else _TaskPolicy
        return kind(inner, self._action, lock)


class _TaskPolicy:
    """Actions in the task's order and bounds, one call at a time."""

    def __init__(self, inner: Any, action: ActionSpec, lock: threading.Lock) -> None:
        self._inner = inner
        self._action = action
        self._lock = lock

    @property
    def spec(self) -> PolicySpec:
        return self._inner.spec

    def infer(self, observation: Observation) -> np.ndarray:
        with self._lock:
            actions = self._inner.infer(observation)
        return self._arranged(actions)

    def reset(self, seed: int | None = None, instruction: str = "") -> None:
        with self._lock:
            self._inner.reset(seed, instruction)

    def close(self) -> None:
        self._inner.close()

    def _arranged(self, actions: np.ndarray) -> np.ndarray:
        names = self._inner.spec.action_names or self._action.names
        return arrange(ActionChunk(np.asarray(actions), names, self.spec.dt_s), self._action)


class _InpaintingTaskPolicy(_TaskPolicy):
    """For a policy that can continue given actions; those are in the task's order."""

    def infer_continuing(self, observation: Observation, given: np.ndarray) -> np.ndarray:
        names = self._inner.spec.action_names or self._action.names
        order = [self._action.names.index(name) for name in names]
        with self._lock:
            actions = self._inner.infer_continuing(observation, given[:, order])
        return self._arranged(actions)
