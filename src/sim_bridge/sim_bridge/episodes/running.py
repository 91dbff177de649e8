"""An episode as it runs: the environment it runs in, who watches it, and what it came to."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from sim_bridge.types import EpisodeResult, StepReply


class Environment(Protocol):
    """What an episode needs of a simulator."""

    def reset(self, seed: int | None = None) -> StepReply: ...

    def step(self, actions: np.ndarray) -> StepReply:
        """Up to ``n`` steps of ``actions (n, A)``; the episode's end cuts the rest off."""


class Subscriber:
    """Watches episodes, in the thread that runs them. Override what you care about.

    One that asks to see ``every_step`` makes the episode take its steps one by one.
    """

    every_step = False

    def on_start(self, seed: int | None, first: StepReply) -> None:
        """The scene is as the episode finds it."""

    def on_step(self, actions: np.ndarray, reply: StepReply) -> None:
        """As many rows of ``actions (n, A)`` were executed as the reply has rewards."""

    def on_end(self, result: EpisodeResult) -> None:
        """The episode is over or canceled; not called for one that failed."""


class Progress(Subscriber):
    """Calls ``show(step, reward, fps)`` after each request: control steps taken, the reward of
    the last one, and control steps per wall-clock second."""

    def __init__(self, show: Callable[[int, float, float], object]) -> None:
        self._show = show

    def on_start(self, seed: int | None, first: StepReply) -> None:
        self._started = time.perf_counter()
        self._steps = 0

    def on_step(self, actions: np.ndarray, reply: StepReply) -> None:
        self._steps += len(reply.rewards)
        elapsed_s = time.perf_counter() - self._started
        self._show(self._steps, float(reply.rewards[-1]), self._steps / elapsed_s)


class RunningEpisode:
    """The sums of an episode under way, which also tells the subscribers of it."""

    def __init__(self, seed: int | None, subscribers: Sequence[Subscriber] = ()) -> None:
        self._seed = seed
        self._subscribers = subscribers
        self._started = time.perf_counter()
        self.every_step = any(s.every_step for s in subscribers)
        self.steps = 0
        self.success = self.terminated = self.truncated = False
        self.inference_time_s = 0.0
        self._total_reward = 0.0
        self._sim_wall_time_s = 0.0

    @property
    def ended(self) -> bool:
        return self.terminated or self.truncated

    def start(self, first: StepReply) -> None:
        for subscriber in self._subscribers:
            subscriber.on_start(self._seed, first)

    def take(self, actions: np.ndarray, reply: StepReply) -> None:
        """Count a reply to ``actions (n, A)``."""
        self.steps += len(reply.rewards)
        self.success = reply.success
        self.terminated, self.truncated = reply.terminated, reply.truncated
        self._total_reward += float(reply.rewards.sum())
        self._sim_wall_time_s += reply.sim_wall_time_s
        for subscriber in self._subscribers:
            subscriber.on_step(actions, reply)

    def end(self, **more: Any) -> EpisodeResult:
        """``more`` are fields of the result that only the caller knows."""
        result = EpisodeResult(
            seed=self._seed or 0,
            success=self.success,
            terminated=self.terminated,
            truncated=self.truncated,
            steps=self.steps,
            total_reward=self._total_reward,
            wall_time_s=time.perf_counter() - self._started,
            sim_wall_time_s=self._sim_wall_time_s,
            inference_time_s=self.inference_time_s,
            **more,
        )
        for subscriber in self._subscribers:
            subscriber.on_end(result)
        return result
