"""Episodes: a chunk execution strategy drives an environment, step by step or chunk by chunk."""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

from policy_node.execution.strategy import Strategy
from sim_bridge.episodes.running import Environment, RunningEpisode, Subscriber
from sim_bridge.types import EpisodeResult, SimSpec, StepReply

log = logging.getLogger(__name__)

STEPS_WITHOUT_LIMIT = 200


def step_limit(spec: SimSpec, max_steps: int, say: Callable[[str], None]) -> int:
    """Control steps that an episode may take: the smaller of ``max_steps`` and the task's own
    limit, each 0 for none. Without either it is STEPS_WITHOUT_LIMIT, and that is said."""
    limits = [n for n in (max_steps, spec.max_episode_steps) if n]
    if not limits:
        say(
            f"{spec.task} has no step limit of its own: episodes end after "
            f"{STEPS_WITHOUT_LIMIT} steps (max_steps sets another limit)"
        )
    return min(limits, default=STEPS_WITHOUT_LIMIT)


@functools.cache
def _say_once(text: str) -> None:
    log.warning(text)


class EpisodeRunner:
    """Runs episodes of one task, watched by ``subscribers``.

    ``max_steps`` 0 is the task's own limit (see ``step_limit``).
    ``is_called_success`` is asked with the environment's episode number after each request: true
    ends the episode as a success.
    """

    def __init__(
        self,
        environment: Environment,
        strategy: Strategy,
        spec: SimSpec,
        max_steps: int = 0,
        subscribers: Sequence[Subscriber] = (),
        should_stop: Callable[[], bool] = lambda: False,
        is_called_success: Callable[[int], bool] = lambda episode: False,
    ) -> None:
        self._environment = environment
        self._strategy = strategy
        self._max_steps = step_limit(spec, max_steps, _say_once)
        self._subscribers = subscribers
        self._should_stop = should_stop
        self._is_called_success = is_called_success

    def run(self, seed: int) -> EpisodeResult:
        """One episode from reset to its end, to ``max_steps``, or until asked to stop."""
        run = RunningEpisode(seed, self._subscribers)
        reply = self._environment.reset(seed=seed)
        self._strategy.reset(seed)
        run.start(reply)
        while not (run.ended or self._should_stop()):
            before = time.perf_counter()
            actions = self._strategy.next_actions(reply.observation)
            run.inference_time_s += time.perf_counter() - before
            actions = actions[: self._max_steps - run.steps]
            for rows in [row[None] for row in actions] if run.every_step else [actions]:
                reply = self._environment.step(rows)
                run.take(rows, reply)
                self._judge(run, reply)
                if run.ended or self._should_stop():
                    break
        return run.end(canceled=not run.ended, execution=self._strategy.report().to_dict())

    def _judge(self, run: RunningEpisode, reply: StepReply) -> None:
        """What ends an episode besides the task itself."""
        if run.steps >= self._max_steps:
            run.truncated = True
        if self._is_called_success(reply.state.episode):
            run.success, run.truncated = True, not run.terminated


def episode_line(index: int, result: EpisodeResult) -> dict[str, Any]:
    """What ``episodes.jsonl`` says about an episode."""
    return {
        "index": index,
        "seed": result.seed,
        "success": result.success,
        "terminated": result.terminated,
        "truncated": result.truncated,
        "steps": result.steps,
        "total_reward": result.total_reward,
        "wall_time_s": round(result.wall_time_s, 4),
        "sim_wall_time_s": round(result.sim_wall_time_s, 4),
        "inference_time_s": round(result.inference_time_s, 4),
        "execution": result.execution,
    }
