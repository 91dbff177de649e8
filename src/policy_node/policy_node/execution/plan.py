"""Actions that are planned, by the control step that they are meant for."""

from __future__ import annotations

import numpy as np

from policy_node.execution.aggregators import Aggregator


class Plan:
    """A queue of actions from one step on, without gaps.

    ``number`` counts the chunks that were merged: it tells seams apart.
    """

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self.number = 0
        self._first = 0
        self._actions = np.zeros((0, 0))

    def __len__(self) -> int:
        return len(self._actions)

    def remaining(self, step: int) -> np.ndarray:
        """Rows ``(n, A)`` meant for ``step`` and after; earlier ones are dropped."""
        gone = max(0, step - self._first)
        self._actions = self._actions[gone:]
        self._first = max(self._first, step)
        return self._actions

    def merge(
        self, actions: np.ndarray, observation_step: int, step: int, aggregate: Aggregator
    ) -> int:
        """Take a chunk in at ``step``; returns how many of its actions came too late.

        Where the plan has an action already, ``aggregate(planned, new)`` decides.
        """
        late = min(max(0, step - observation_step), len(actions))
        if late == len(actions):
            return late
        fresh = np.array(actions[late:])
        planned = self.remaining(step)
        both = min(len(planned), len(fresh))
        if both:
            fresh[:both] = aggregate(planned[:both], fresh[:both])
        # A plan that reaches further than the new chunk keeps its end.
        self._actions = np.concatenate([fresh, planned[both:]]) if both else fresh
        self._first = step
        self.number += 1
        return late

    def take(self, step: int) -> np.ndarray:
        """The action ``(A,)`` for ``step``, which leaves the plan; IndexError if there is none."""
        action = self.remaining(step)[0]
        self._actions = self._actions[1:]
        self._first = step + 1
        return action
