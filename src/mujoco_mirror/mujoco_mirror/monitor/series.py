"""Bounded histories: rows that readers take incrementally, and a rate of events."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from typing import Any


class Series:
    """Rows ``(x, y_0 ... y_n)`` with x ascending; only the last ``capacity`` are kept.

    A reader holds a cursor: ``total`` when it last looked, -1 when it never did.
    """

    def __init__(self, capacity: int) -> None:
        self._rows: deque[tuple[float, list[float]]] = deque(maxlen=capacity)
        self._total = 0
        self._start = 0

    @property
    def total(self) -> int:
        """Grows with every change."""
        return self._total

    @property
    def last_x(self) -> float:
        """Of the newest row; -inf when there is none."""
        return self._rows[-1][0] if self._rows else float("-inf")

    def append(self, x: float, values: Sequence[float]) -> None:
        """A row of another width than the last one starts over."""
        if self._rows and len(self._rows[-1][1]) != len(values):
            self.clear()
        self._rows.append((x, [float(v) for v in values]))
        self._total += 1

    def clear(self) -> None:
        """Forget all rows; every reader is told to do the same."""
        self._rows.clear()
        self._total += 1
        self._start = self._total

    def since(self, cursor: int) -> dict[str, Any]:
        """Columns of the rows after ``cursor``: ``x [k]``, ``y [n][k]``.

        ``reset`` says that the reader's older rows are void. Numbers that JSON cannot hold
        become None.
        """
        reset = cursor < max(self._start, self._total - len(self._rows))
        new = len(self._rows) if reset else self._total - cursor
        rows = [self._rows[i] for i in range(len(self._rows) - new, len(self._rows))]
        columns = zip(*(values for _, values in rows), strict=True)
        return {
            "reset": reset,
            "x": [x for x, _ in rows],
            "y": [[plain(v) for v in column] for column in columns],
        }


class Rate:
    """Events per second over the last ``window_s``."""

    def __init__(self, window_s: float = 2.0) -> None:
        self._window_s = window_s
        self._times: deque[float] = deque(maxlen=4096)

    def add(self, now: float) -> None:
        self._times.append(now)

    def at(self, now: float) -> float:
        while self._times and now - self._times[0] > self._window_s:
            self._times.popleft()
        if len(self._times) < 2:
            return 0.0
        return (len(self._times) - 1) / max(now - self._times[0], 1e-6)


def plain(value: float) -> float | None:
    """Six significant digits, or None for NaN and infinities."""
    return float(f"{value:.6g}") if math.isfinite(value) else None
