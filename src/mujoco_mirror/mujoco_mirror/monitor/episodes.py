"""The last episodes and how they ended."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass
from typing import Any

from mujoco_mirror.monitor.samples import StepSample
from mujoco_mirror.monitor.series import plain
from sim_bridge.episodes.success_rate import wilson_interval


@dataclass
class Episode:
    """``total_reward`` is NaN when steps were missed; ``marked`` is a person's verdict."""

    number: int
    steps: int = 0
    total_reward: float = 0.0
    outcome: str = "running"
    marked: bool = False

    @property
    def succeeded(self) -> bool:
        return self.marked or self.outcome == "success"

    def add(self, sample: StepSample) -> None:
        self.total_reward += sample.reward if sample.step == self.steps + 1 else float("nan")
        self.steps = sample.step
        if sample.terminated or sample.truncated:
            ended = "terminated" if sample.terminated else "truncated"
            self.outcome = "success" if sample.success else ended


class EpisodeLog:
    """The last ``capacity`` episodes by number."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._episodes: deque[Episode] = deque()
        self._forgotten: Counter[bool] = Counter()

    def get(self, number: int) -> Episode:
        """The record of this episode, made when it is new; one that still ran was stopped."""
        for episode in self._episodes:
            if episode.number == number:
                return episode
        if self._episodes and self._episodes[-1].outcome == "running":
            self._episodes[-1].outcome = "stopped"
        self._episodes.append(Episode(number))
        if len(self._episodes) > self._capacity:
            self._count(self._episodes.popleft(), self._forgotten)
        return self._episodes[-1]

    @staticmethod
    def _count(episode: Episode, outcomes: Counter[bool]) -> None:
        if episode.marked or episode.outcome not in ("running", "stopped"):
            outcomes[episode.succeeded] += 1

    def success(self) -> dict[str, Any]:
        """Of all episodes that ended by themselves or were marked; the interval holds 95 %."""
        outcomes = self._forgotten.copy()
        for episode in self._episodes:
            self._count(episode, outcomes)
        low, high = wilson_interval(outcomes[True], outcomes.total())
        return {
            "successes": outcomes[True], "episodes": outcomes.total(), "low": low, "high": high,
        }  # fmt: skip

    def rows(self) -> list[dict[str, Any]]:
        """Oldest first, ready for JSON."""
        return [
            {
                "number": e.number,
                "steps": e.steps,
                "return": plain(e.total_reward),
                "outcome": e.outcome,
                "marked": e.marked,
            }
            for e in self._episodes
        ]
