"""Trying again, less and less often."""

from __future__ import annotations

import math
import time
from collections.abc import Callable


class Backoff:
    """Delays that double from ``first_s`` up to ``longest_s``, for ``give_up_s`` in all."""

    def __init__(
        self,
        first_s: float,
        longest_s: float = math.inf,
        give_up_s: float = math.inf,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._next_s = first_s
        self._longest_s = longest_s
        self._give_up_s = give_up_s
        self._clock = clock
        self._started_s = clock()

    @property
    def elapsed_s(self) -> float:
        """Since the first try."""
        return self._clock() - self._started_s

    def delay_s(self) -> float | None:
        """How long to wait before the next try; None when it would come too late."""
        delay_s = self._next_s
        self._next_s = min(2 * delay_s, self._longest_s)
        return delay_s if self.elapsed_s + delay_s <= self._give_up_s else None
