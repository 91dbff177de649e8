"""Carries out Rollout goals with synchronous clients, in a thread of its own."""

from __future__ import annotations

import contextlib
import functools
import json
from collections.abc import Callable, Sequence
from pathlib import Path

from rclpy.node import Node
from sim_interfaces import msg as m
from sim_interfaces.action import Rollout

from policy_node.execution.settings import make_strategy
from policy_node.node.parameters import RolloutParameters
from policy_node.policy import Policy
from policy_node.rollout.bridge_environment import BridgeEnvironment, policy_cameras
from policy_node.rollout.episodes import EpisodeRunner, episode_line
from policy_node.rollout.policy_client import PolicyClient
from policy_node.rollout.steady_policy import SteadyPolicy
from sim_bridge import names
from sim_bridge.client.bridge_client import BridgeClient
from sim_bridge.episodes.running import Progress, Subscriber
from sim_bridge.errors import OK, BridgeError, Canceled, InvalidRequest, OperationFailed
from sim_bridge.files.output import prepare_folder, writing
from sim_bridge.ros import qos
from sim_bridge.ros.convert import to_episode_msg
from sim_bridge.ros.spec import SpecWatch
from sim_bridge.trajectories.recording import TrajectoryFile
from sim_bridge.types import EpisodeResult, SimSpec

_WAIT_FOR_PEERS_S = 20.0


class RolloutWorker:
    """``run`` blocks; its clients stay connected from one goal to the next."""

    def __init__(self, node: Node, parameters: RolloutParameters) -> None:
        self._parameters = parameters
        self._log = node.get_logger()
        self._spec = SpecWatch(node)
        self._called_success: int | None = None  # the episode that a person called a success
        node.create_subscription(m.StepInfo, names.VERDICT, self._on_verdict, qos.LATCHED)
        self._bridge = BridgeClient(node, timeout_s=parameters.step_timeout_s)
        self._bridge_id = ""
        self._policy = PolicyClient(
            node, timeout_s=parameters.inference_timeout_s, jpeg=parameters.jpeg
        )

    def _on_verdict(self, message: m.StepInfo) -> None:
        self._called_success = message.episode if message.success else None

    def run(
        self,
        goal: Rollout.Goal,
        on_progress: Callable[[int, int, float, float], None],
        should_stop: Callable[[], bool],
    ) -> Rollout.Result:
        """All episodes, or as many as finished before an error or a stop.

        ``on_progress`` gets the episode's index and what ``Progress`` shows.
        """
        result = Rollout.Result()
        try:
            seeds = _seeds(goal)
            if goal.output_directory:
                prepare_folder(_folder(goal))
            spec = self._connect(goal.policy, should_stop)
            policy = SteadyPolicy(
                self._policy, spec, self._parameters, should_stop, self._policy.limit_call
            )
            for index, seed in enumerate(seeds):
                self._called_success = None  # of an earlier run; episodes may have the same numbers
                subscribers: list[Subscriber] = [Progress(functools.partial(on_progress, index))]
                if goal.output_directory:
                    path = _folder(goal) / f"episode_{index:03d}.npz"
                    subscribers += [TrajectoryFile(spec, path), _EpisodeLog(index, path, policy)]
                runner = self._runner(goal, spec, policy, subscribers, should_stop)
                episode = runner.run(seed)
                if episode.canceled:
                    raise Canceled(
                        f"stopped in episode {index} of {len(seeds)} after {episode.steps} steps"
                    )
                result.episodes.append(to_episode_msg(episode, index))
                if goal.output_directory:
                    result.files.append(str(path))
            result.result.code = OK
        except Exception as error:
            self._refuse(result, error)
        finally:
            with contextlib.suppress(BridgeError):
                self._bridge.release()
        done = result.episodes
        result.success_rate = sum(e.success for e in done) / len(done) if done else 0.0
        return result

    def _connect(self, policy: str, should_stop: Callable[[], bool]) -> SimSpec:
        spec = self._spec.wait(_WAIT_FOR_PEERS_S, should_stop)
        self._bridge.wait_for_bridge(_WAIT_FOR_PEERS_S)
        self._policy.wait_for_policy(_WAIT_FOR_PEERS_S)
        if spec.bridge_id != self._bridge_id:
            self._bridge.renew()
            self._bridge_id = spec.bridge_id
        self._policy.bind(spec.action, policy)
        self._policy.describe()
        return spec

    def _runner(
        self,
        goal: Rollout.Goal,
        spec: SimSpec,
        policy: Policy,
        subscribers: Sequence[Subscriber],
        should_stop: Callable[[], bool],
    ) -> EpisodeRunner:
        parameters = self._parameters
        cameras = policy_cameras(spec, policy.spec, parameters.camera_names())
        return EpisodeRunner(
            BridgeEnvironment(self._bridge, cameras, parameters.jpeg),
            make_strategy(parameters, policy),
            spec,
            goal.max_steps,
            subscribers,
            should_stop,
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


def _folder(goal: Rollout.Goal) -> Path:
    return Path(goal.output_directory).expanduser().absolute()


class _EpisodeLog(Subscriber):
    """Adds a line about the episode to ``episodes.jsonl`` beside its trajectory."""

    def __init__(self, index: int, trajectory: Path, policy: SteadyPolicy) -> None:
        self._index = index
        self._trajectory = trajectory
        self._policy = policy

    def on_end(self, result: EpisodeResult) -> None:
        if result.canceled:
            return
        line = episode_line(self._index, result)
        line.update(self._policy.report(), trajectory=self._trajectory.name)
        path = self._trajectory.with_name("episodes.jsonl")
        with writing(path), path.open("a") as file:
            file.write(json.dumps(line) + "\n")
