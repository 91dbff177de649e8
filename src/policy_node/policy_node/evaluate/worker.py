"""Episodes on one bridge: the part of an evaluation that runs in a thread of its own."""

from __future__ import annotations

import contextlib
import queue
import threading
from pathlib import Path

from policy_node.evaluate.connection import BridgeConnection
from policy_node.evaluate.settings import EvaluationSettings
from policy_node.execution.settings import make_strategy
from policy_node.policy import Policy
from policy_node.rollout.bridge_environment import BridgeEnvironment, policy_cameras
from policy_node.rollout.episodes import EpisodeRunner
from policy_node.rollout.film import Film
from sim_bridge.episodes.running import Subscriber
from sim_bridge.errors import InvalidRequest, unknown
from sim_bridge.trajectories.recording import TrajectoryFile
from sim_bridge.types import EpisodeResult, SimSpec

# What a worker sends: an episode's index, and its result or why it failed.
Outcome = tuple[int, EpisodeResult | Exception]


class EvaluationWorker(threading.Thread):
    """Takes episode indices from ``work`` until it is empty or ``stop`` is set."""

    def __init__(
        self,
        bridge: BridgeConnection,
        policy: Policy,
        settings: EvaluationSettings,
        work: queue.SimpleQueue[int],
        results: queue.SimpleQueue[Outcome],
        stop: threading.Event,
    ) -> None:
        super().__init__(name=f"evaluate {bridge.namespace}", daemon=True)
        self._bridge = bridge
        self._policy = policy
        self._settings = settings
        self._work = work
        self._results = results
        self._stop_asked = stop
        self._film_camera = film_camera(bridge.spec, settings)
        self._cameras = policy_cameras(bridge.spec, policy.spec)

    def run(self) -> None:
        index = -1
        try:
            with contextlib.suppress(queue.Empty):
                while not self._stop_asked.is_set():
                    index = self._work.get_nowait()
                    episode = self._episode(index)
                    if not episode.canceled:
                        self._results.put((index, episode))
            self._bridge.client.release()
        except Exception as error:  # reported by the main thread, with the episode's index
            self._results.put((index, error))

    def _episode(self, index: int) -> EpisodeResult:
        bridge, settings = self._bridge, self._settings
        subscribers: list[Subscriber] = []
        cameras = self._cameras
        if index < settings.videos:
            path = Path(settings.output) / "videos" / f"episode_{index:04d}.mp4"
            rate_hz = 1.0 / bridge.spec.control_period_s
            subscribers.append(Film(self._film_camera, path, rate_hz))
            cameras = tuple(dict.fromkeys((*cameras, self._film_camera)))
        if settings.trajectories:
            path = trajectory_file(settings.output, index)
            subscribers.append(TrajectoryFile(bridge.spec, path, {"policy": settings.policy}))
        strategy = make_strategy(settings.execution, self._policy)
        runner = EpisodeRunner(
            BridgeEnvironment(bridge.client, cameras),
            strategy,
            bridge.spec,
            settings.max_steps,
            subscribers,
            self._stop_asked.is_set,
        )
        try:
            return runner.run(settings.seed_of(index))
        finally:
            strategy.close()


def trajectory_file(output: str, index: int) -> Path:
    """Where the trajectory of episode ``index`` is kept."""
    return Path(output) / f"episode_{index:04d}.npz"


def film_camera(spec: SimSpec, settings: EvaluationSettings) -> str:
    """The camera that films; errors list the task's cameras."""
    cameras = [camera.name for camera in spec.cameras]
    if not settings.videos:
        return ""
    if not cameras:
        raise InvalidRequest(f"{spec.task} has no camera to film with")
    if settings.camera and settings.camera not in cameras:
        raise unknown("camera", settings.camera, cameras)
    return settings.camera or cameras[0]
