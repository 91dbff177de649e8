"""Episodes: a chunk execution strategy drives an environment, step by step or chunk by chunk."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from policy_node.execution.strategy import Strategy
from sim_bridge.errors import InvalidRequest
from sim_bridge.trajectories.trajectory import Trajectory, TrajectoryRecorder
from sim_bridge.types import SimSpec, StepReply


class Environment(Protocol):
    """What an episode needs of a simulator."""

    def reset(self, seed: int | None = None) -> StepReply: ...

    def step(self, actions: np.ndarray) -> StepReply:
        """Up to ``n`` steps of ``actions (n, A)``; the episode's end cuts the rest off."""


@dataclass(frozen=True)
class Progress:
    """After each request to the environment; ``fps`` is control steps per wall-clock second."""

    step: int
    reward: float
    fps: float


@dataclass(frozen=True)
class Episode:
    """Outcome of one episode. ``inference_time_s`` is the time spent waiting for actions,
    ``step_time_s`` for the environment, of which the simulator itself took ``sim_wall_time_s``."""

    seed: int
    success: bool = False
    terminated: bool = False
    truncated: bool = False
    canceled: bool = False
    steps: int = 0
    total_reward: float = 0.0
    wall_time_s: float = 0.0
    sim_wall_time_s: float = 0.0
    step_time_s: float = 0.0
    inference_time_s: float = 0.0
    trajectory: Trajectory | None = None
    execution: dict[str, Any] = field(default_factory=dict)


class EpisodeRunner:
    """Runs episodes of one task. ``record`` steps one at a time, to see every state.

    ``is_called_success`` is asked with the environment's episode number after each request: true
    ends the episode as a success.
    """

    def __init__(
        self,
        environment: Environment,
        strategy: Strategy,
        spec: SimSpec,
        max_steps: int = 0,
        record: bool = False,
        on_progress: Callable[[Progress], None] = lambda progress: None,
        should_stop: Callable[[], bool] = lambda: False,
        is_called_success: Callable[[int], bool] = lambda episode: False,
    ) -> None:
        limits = [n for n in (max_steps, spec.max_episode_steps) if n]
        if not limits:
            raise InvalidRequest(f"{spec.task} has no step limit of its own; give max_steps")
        self._environment = environment
        self._strategy = strategy
        self._spec = spec
        self._max_steps = min(limits)
        self._record = record
        self._on_progress = on_progress
        self._should_stop = should_stop
        self._is_called_success = is_called_success

    def run(self, seed: int) -> Episode:
        """One episode from reset to its end, to ``max_steps``, or until asked to stop."""
        started = time.perf_counter()
        reply = self._environment.reset(seed=seed)
        self._strategy.reset(seed)
        run = _Run(seed, started, self._on_progress)
        run.step_time_s = time.perf_counter() - started
        recorder = TrajectoryRecorder(self._spec, seed, reply.state) if self._record else None
        while not (run.ended or self._should_stop()):
            before = time.perf_counter()
            actions = self._strategy.next_actions(reply.observation)
            run.inference_time_s += time.perf_counter() - before
            for rows in self._requests(actions[: self._max_steps - run.steps]):
                before = time.perf_counter()
                reply = self._environment.step(rows)
                run.step_time_s += time.perf_counter() - before
                run.take(reply, self._max_steps)
                if self._is_called_success(reply.state.episode):
                    run.call_success()
                if recorder:
                    recorder.add(rows[0], reply.state, reply.rewards[0])
                if run.ended or self._should_stop():
                    break
        return run.episode(recorder, self._strategy.report().to_dict())

    def _requests(self, actions: np.ndarray) -> list[np.ndarray]:
        return [row[None] for row in actions] if self._record else [actions]


class _Run:
    """Sums of the running episode."""

    def __init__(self, seed: int, started: float, on_progress: Callable[[Progress], None]) -> None:
        self._seed = seed
        self._started = started
        self._on_progress = on_progress
        self.steps = 0
        self.inference_time_s = 0.0
        self.step_time_s = 0.0
        self._sim_wall_time_s = 0.0
        self._total_reward = 0.0
        self._success = self._terminated = self._truncated = False

    @property
    def ended(self) -> bool:
        return self._terminated or self._truncated

    def take(self, reply: StepReply, max_steps: int) -> None:
        self.steps += len(reply.rewards)
        self._total_reward += float(np.sum(reply.rewards))
        self._sim_wall_time_s += reply.sim_wall_time_s
        self._success = reply.success
        self._terminated = reply.terminated
        self._truncated = reply.truncated or self.steps >= max_steps
        elapsed = time.perf_counter() - self._started
        self._on_progress(Progress(self.steps, float(reply.rewards[-1]), self.steps / elapsed))

    def call_success(self) -> None:
        self._success = True
        self._truncated = not self._terminated

    def episode(self, recorder: TrajectoryRecorder | None, execution: dict[str, Any]) -> Episode:
        return Episode(
            seed=self._seed,
            success=self._success,
            terminated=self._terminated,
            truncated=self._truncated,
            canceled=not self.ended,
            steps=self.steps,
            total_reward=self._total_reward,
            wall_time_s=time.perf_counter() - self._started,
            sim_wall_time_s=self._sim_wall_time_s,
            step_time_s=self.step_time_s,
            inference_time_s=self.inference_time_s,
            trajectory=recorder.finish(self._success) if recorder else None,
            execution=execution,
        )
