"""Carries out Rollout goals with synchronous clients, in a thread of its own."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
from rclpy.node import Node
from sim_interfaces import msg as m
from sim_interfaces.action import Rollout

from policy_node.execution.settings import make_strategy
from policy_node.node.parameters import RolloutParameters
from policy_node.policy import Policy
from policy_node.rollout.episodes import Episode, EpisodeRunner, Progress
from policy_node.rollout.policy_client import PolicyClient
from policy_node.rollout.steady_policy import SteadyPolicy
from sim_bridge import names
from sim_bridge.client.bridge_client import BridgeClient
from sim_bridge.errors import OK, BridgeError, Canceled, InvalidRequest, OperationFailed, TimedOut
from sim_bridge.ros import qos
from sim_bridge.ros.convert_spec import from_spec_msg
from sim_bridge.types import SimSpec, StepReply

_WAIT_FOR_PEERS_S = 20.0


class BridgeEnvironment:
    """A bridge as an ``Environment`` that also draws cameras for the policy."""

    def __init__(self, client: BridgeClient, cameras: list[str], jpeg: bool) -> None:
        self._client = client
        self._images = {"cameras": cameras, "jpeg": jpeg}

    def reset(self, seed: int | None = None) -> StepReply:
        return self._client.reset(seed=seed, **self._images)

    def step(self, actions: np.ndarray) -> StepReply:
        return self._client.step(actions, **self._images)


class RolloutWorker:
    """``run`` blocks; its clients stay connected from one goal to the next."""

    def __init__(self, node: Node, parameters: RolloutParameters) -> None:
        self._parameters = parameters
        self._log = node.get_logger()
        self._spec: SimSpec | None = None
        self._spec_arrived = threading.Event()
        self._called_success: int | None = None  # the episode that a person called a success
        node.create_subscription(m.SimSpec, names.SPEC, self._on_spec, qos.LATCHED)
        node.create_subscription(m.StepInfo, names.VERDICT, self._on_verdict, qos.LATCHED)
        self._bridge = BridgeClient(node, timeout_s=parameters.step_timeout_s)
        self._bridge_id = ""
        self._policy = PolicyClient(
            node, timeout_s=parameters.inference_timeout_s, jpeg=parameters.jpeg
        )

    def _on_spec(self, message: m.SimSpec) -> None:
        self._spec = from_spec_msg(message)
        self._spec_arrived.set()

    def _on_verdict(self, message: m.StepInfo) -> None:
        self._called_success = message.episode if message.success else None

    def run(
        self,
        goal: Rollout.Goal,
        on_progress: Callable[[int, Progress], None],
        should_stop: Callable[[], bool],
    ) -> Rollout.Result:
        """All episodes, or as many as finished before an error or a stop."""
        result = Rollout.Result()
        try:
            seeds = _seeds(goal)
            spec = self._connect(goal.policy)
            steadiness = self._parameters.steadiness()
            policy = SteadyPolicy(self._policy, spec, steadiness, should_stop)
            for index, seed in enumerate(seeds):
                report = functools.partial(on_progress, index)
                self._called_success = None  # of an earlier run; episodes may have the same numbers
                runner = self._runner(goal, spec, policy, report, should_stop)
                episode = _with_trouble(runner.run(seed), policy)
                if episode.canceled:
                    raise Canceled(
                        f"stopped in episode {index} of {len(seeds)} after {episode.steps} steps"
                    )
                result.episodes.append(to_episode_msg(index, episode))
                result.files += _write(goal.output_directory, index, episode)
            result.result.code = OK
        except Exception as error:
            self._refuse(result, error)
        finally:
            with contextlib.suppress(BridgeError):
                self._bridge.release()
        done = result.episodes
        result.success_rate = sum(e.success for e in done) / len(done) if done else 0.0
        return result

    def _connect(self, policy: str) -> SimSpec:
        if not self._spec_arrived.wait(_WAIT_FOR_PEERS_S):
            raise TimedOut(f"no bridge published its spec within {_WAIT_FOR_PEERS_S:g} s")
        spec = self._spec
        self._bridge.wait_for_bridge(_WAIT_FOR_PEERS_S)
        self._policy.wait_for_policy(_WAIT_FOR_PEERS_S)
        if spec.bridge_id != self._bridge_id:
            self._bridge.renew()
            self._bridge_id = spec.bridge_id
        self._policy.bind(spec.action, policy)
        return spec

    def _runner(
        self,
        goal: Rollout.Goal,
        spec: SimSpec,
        policy: Policy,
        on_progress: Callable[[Progress], None],
        should_stop: Callable[[], bool],
    ) -> EpisodeRunner:
        parameters = self._parameters
        return EpisodeRunner(
            BridgeEnvironment(self._bridge, parameters.camera_names(), parameters.jpeg),
            make_strategy(parameters, policy),
            spec,
            max_steps=goal.max_steps,
            record=bool(goal.output_directory),
            on_progress=on_progress,
            should_stop=should_stop,
            is_called_success=lambda episode: episode == self._called_success,
        )

    def _refuse(self, result: Rollout.Result, error: Exception) -> None:
        if not isinstance(error, BridgeError):
            error = OperationFailed(f"internal error: {error!r}")
        self._log.warning(f"rollout: {error}")
        result.result.code, result.result.message = error.code, str(error)


def _seeds(goal: Rollout.Goal) -> list[int]:
    if goal.episodes < 1:
        raise InvalidRequest("episodes is 0; valid: 1 or more")
    seeds = [int(seed) for seed in goal.seeds] or list(range(goal.episodes))
    if len(seeds) != goal.episodes:
        raise InvalidRequest(
            f"{len(seeds)} seeds for {goal.episodes} episodes; valid: one for each, or none"
        )
    return seeds


def _with_trouble(episode: Episode, policy: SteadyPolicy) -> Episode:
    return dataclasses.replace(episode, execution={**episode.execution, **policy.report()})


def to_episode_msg(index: int, episode: Episode) -> m.EpisodeResult:
    return m.EpisodeResult(
        index=index,
        seed=episode.seed,
        success=episode.success,
        terminated=episode.terminated,
        truncated=episode.truncated,
        steps=episode.steps,
        total_reward=episode.total_reward,
        wall_time=episode.wall_time_s,
        sim_wall_time=episode.sim_wall_time_s,
        inference_time=episode.inference_time_s,
    )


def _write(directory: str, index: int, episode: Episode) -> list[str]:
    """The episode's trajectory, and a line about it; nothing without a directory."""
    if not directory:
        return []
    folder = Path(directory).expanduser().absolute()
    try:
        path = episode.trajectory.save(folder / f"episode_{index:03d}.npz")
        line = {f.name: getattr(episode, f.name) for f in dataclasses.fields(episode)}
        line.update(line.pop("execution"), trajectory=path.name)
        with (folder / "episodes.jsonl").open("a") as file:
            file.write(json.dumps(line) + "\n")
    except OSError as error:
        raise OperationFailed(f"cannot write to output_directory {directory!r}: {error}") from error
    return [str(path)]
