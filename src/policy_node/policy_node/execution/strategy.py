"""The contract of a chunk execution strategy."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np

from policy_node.execution.report import ExecutionReport
from sim_bridge.types import Observation


class Strategy(Protocol):
    """Turns the chunks of one client's policy into the actions to execute next.

    The caller executes every row that it gets before it asks again, and asks with the
    observation after the last one. Calls come from one thread.
    """

    def reset(self, seed: int | None = None, instruction: str = "") -> None:
        """Start an episode: forget actions and figures, reset the policy."""

    def next_actions(self, observation: Observation) -> np.ndarray:
        """Actions ``(n, A)`` from this observation on, n at least 1; waits if there are none."""

    def report(self) -> ExecutionReport:
        """Figures of the episode so far."""

    def close(self) -> None:
        """Wait for an inference under way; the policy stays open."""


@runtime_checkable
class InpaintingPolicy(Protocol):
    """A policy whose chunks can be made to continue actions that are already decided."""

    def infer_continuing(self, observation: Observation, given: np.ndarray) -> np.ndarray:
        """A chunk ``(H, A)`` whose first rows are ``given (d, A)``."""
