"""The contract of a chunk execution strategy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np

from policy_node.execution.report import ExecutionReport
from policy_node.policy import Policy
from sim_bridge.types import Observation

if TYPE_CHECKING:
    from policy_node.execution.settings import ExecutionSettings


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


class MakeStrategy(Protocol):
    """What a name of a strategy stands for: ``make`` of a file here, the entry point of a package
    (group ``twinstep.strategies``), or the function of ``python:MODULE:FUNCTION``."""

    def __call__(self, policy: Policy, settings: ExecutionSettings) -> Strategy:
        """A strategy around one client's policy, which stays the caller's to close.

        ``settings.options()`` holds what a user gave as ``strategy_options``. Called once for
        each episode; raises InvalidRequest, naming the valid choices, for a bad option.
        """


@runtime_checkable
class InpaintingPolicy(Protocol):
    """A policy whose chunks can be made to continue actions that are already decided."""

    def infer_continuing(self, observation: Observation, given: np.ndarray) -> np.ndarray:
        """A chunk ``(H, A)`` whose first rows are ``given (d, A)``."""
