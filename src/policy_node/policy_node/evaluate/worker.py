"""Episodes on one bridge: the part of an evaluation that runs in a thread of its own."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from rclpy.context import Context
from rclpy.node import Node
from sim_interfaces import msg as m

from policy_node.evaluate.settings import EvaluationSettings
from policy_node.evaluate.video import write_video
from policy_node.execution.settings import make_strategy
from policy_node.policy import Policy
from policy_node.rollout.episodes import Episode, EpisodeRunner
from sim_bridge import names
from sim_bridge.client.bridge_client import BridgeClient
from sim_bridge.errors import InvalidRequest, TimedOut, unknown
from sim_bridge.ros import qos
from sim_bridge.ros.calls import Receiver
from sim_bridge.ros.convert_spec import from_spec_msg
from sim_bridge.trajectories.trajectory import Trajectory
from sim_bridge.types import SimSpec, StepReply

_CONNECT_TIMEOUT_S = 90.0
_STEP_TIMEOUT_S = 120.0


class BridgeConnection:
    """A bridge as an ``Environment``, filming while ``frames`` is a list."""

    def __init__(self, namespace: str, context: Context) -> None:
        self.namespace = namespace
        self._node = Node(
            "evaluate",
            context=context,
            namespace=namespace,
            start_parameter_services=False,
            enable_rosout=False,
        )
        self._client = BridgeClient(self._node, timeout_s=_STEP_TIMEOUT_S)
        self.spec: SimSpec | None = None  # until connected
        self.cameras: tuple[str, ...] = ()
        self.film_camera = ""
        self.frames: list[np.ndarray] | None = None

    def connect(self, check: Callable[[], None]) -> SimSpec:
        """Wait for the bridge; ``check`` is called now and then and may raise."""
        receiver = Receiver(self._node, m.SimSpec, names.SPEC, qos.LATCHED)
        try:
            self.spec = from_spec_msg(_take(receiver, check))
        except TimedOut:
            raise TimedOut(
                f"no bridge in namespace {self.namespace!r} within {_CONNECT_TIMEOUT_S:g} s; is it "
                "running, with the same ROS_DOMAIN_ID?"
            ) from None
        finally:
            receiver.destroy()
        self._client.wait_for_bridge(_CONNECT_TIMEOUT_S)
        return self.spec

    def reset(self, seed: int | None = None) -> StepReply:
        return self._seen(self._client.reset(seed=seed, cameras=self._wanted()))

    def step(self, actions: np.ndarray) -> StepReply:
        return self._seen(self._client.step(actions, cameras=self._wanted()))

    def release(self) -> None:
        """Give control back; the bridge must be there."""
        self._client.release()

    def close(self) -> None:
        self._client.close()
        self._node.destroy_node()

    def _wanted(self) -> tuple[str, ...]:
        filmed = (self.film_camera,) if self.frames is not None else ()
        return tuple(dict.fromkeys(self.cameras + filmed))

    def _seen(self, reply: StepReply) -> StepReply:
        if self.frames is not None:
            self.frames.append(reply.observation.images[self.film_camera])
        return reply


def _take(receiver: Receiver, check: Callable[[], None]) -> m.SimSpec:
    slices = int(_CONNECT_TIMEOUT_S)
    for attempt in range(slices):
        try:
            return receiver.take(1.0)
        except TimedOut:
            check()
            if attempt == slices - 1:
                raise
    raise AssertionError("unreachable")


@dataclass(frozen=True)
class Outcome:
    """What a worker sends: a finished episode, or why it cannot go on."""

    index: int
    episode: Episode | None = None
    error: Exception | None = None


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
        bridge.film_camera = film_camera(bridge.spec, settings)
        bridge.cameras = policy_cameras(bridge.spec, policy)

    def run(self) -> None:
        index = -1
        try:
            with contextlib.suppress(queue.Empty):
                while not self._stop_asked.is_set():
                    index = self._work.get_nowait()
                    episode = self._episode(index)
                    if not episode.canceled:
                        self._results.put(Outcome(index, episode))
            self._bridge.release()
        except Exception as error:  # reported by the main thread, with the episode's index
            self._results.put(Outcome(index, error=error))

    def _episode(self, index: int) -> Episode:
        film = index < self._settings.videos
        self._bridge.frames = [] if film else None
        strategy = make_strategy(self._settings.execution, self._policy)
        runner = EpisodeRunner(
            self._bridge,
            strategy,
            self._bridge.spec,
            max_steps=self._settings.max_steps,
            record=film or self._settings.trajectories,
            should_stop=self._stop_asked.is_set,
        )
        try:
            episode = runner.run(self._settings.seed_of(index))
        finally:
            strategy.close()
        if film and not episode.canceled:
            self._write_video(index, self._bridge.frames or [])
        if self._settings.trajectories and not episode.canceled:
            self._write_trajectory(index, episode.trajectory)
        return episode

    def _write_trajectory(self, index: int, trajectory: Trajectory) -> None:
        meta = {"policy": self._settings.policy}
        replace(trajectory, meta=meta).save(trajectory_file(self._settings.output, index))

    def _write_video(self, index: int, frames: list[np.ndarray]) -> None:
        path = Path(self._settings.output) / "videos" / f"episode_{index:04d}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_video(path, frames, 1.0 / self._bridge.spec.control_period_s)


def trajectory_file(output: str, index: int) -> Path:
    """Where the trajectory of episode ``index`` is kept."""
    return Path(output) / f"episode_{index:04d}.npz"


def film_camera(spec: SimSpec, settings: EvaluationSettings) -> str:
    """The camera that films; errors list the task's cameras."""
    cameras = [camera.name for camera in spec.cameras]
    if not settings.videos:
        return ""
    if not cameras:
        raise InvalidRequest(f"{spec.task} has no camera: no videos")
    if settings.camera and settings.camera not in cameras:
        raise unknown("camera", settings.camera, cameras)
    return settings.camera or cameras[0]


def policy_cameras(spec: SimSpec, policy: Policy) -> tuple[str, ...]:
    """The cameras whose images the policy needs; errors list the task's cameras."""
    cameras = [camera.name for camera in spec.cameras]
    for key in policy.spec.image_keys:
        if key not in cameras:
            raise unknown("camera that the policy needs:", key, cameras)
    return tuple(policy.spec.image_keys)
