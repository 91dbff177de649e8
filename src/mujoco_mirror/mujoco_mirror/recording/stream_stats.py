"""What arrived, what is missing, and how late: counts and percentiles in constant memory."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


class Percentiles:
    """Over the latest ``capacity`` samples; ``largest`` is of all."""

    def __init__(self, capacity: int = 4096) -> None:
        self._values = np.empty(capacity)
        self.count = 0
        self.largest = float("-inf")

    def add(self, value: float) -> None:
        self._values[self.count % len(self._values)] = value
        self.count += 1
        self.largest = max(self.largest, value)

    def at(self, *percents: float) -> tuple[float, ...]:
        """NaN before the first sample."""
        if not self.count:
            return tuple(float("nan") for _ in percents)
        window = self._values[: min(self.count, len(self._values))]
        return tuple(float(v) for v in np.percentile(window, percents))

    def summary_ms(self) -> dict[str, float | None]:
        """p50, p99 and max of samples in seconds, in milliseconds; None before the first one."""
        values = (*self.at(50, 99), self.largest)
        return {
            name: round(1e3 * value, 3) if self.count else None
            for name, value in zip(("p50", "p99", "max"), values, strict=True)
        }

    @property
    def last(self) -> float:
        return (
            float(self._values[(self.count - 1) % len(self._values)])
            if self.count
            else float("nan")
        )


@dataclass
class ArrivalCounter:
    """Counts states; ``dropped`` are steps that were skipped inside an episode."""

    received: int = 0
    dropped: int = 0
    out_of_order: int = 0
    episode: int = -1
    step: int = 0

    def arrived(self, episode: int, step: int) -> bool:
        """Whether the state is newer than all before it (in order, so worth showing)."""
        self.received += 1
        if self.episode < 0 or episode > self.episode:
            # The first state seen may be mid-episode; a new episode starts at 0 or 1.
            missed = 0 if self.episode < 0 else max(step - 1, 0)
        elif episode == self.episode and step > self.step:
            missed = step - self.step - 1
        elif episode == self.episode and step == self.step:
            return True  # SetState publishes the same step again, with other content
        else:
            self.out_of_order += 1
            return False
        self.dropped += missed
        self.episode, self.step = episode, step
        return True
