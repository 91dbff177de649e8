"""Replaying a trajectory through a bridge: actions executed, or recorded states restored."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from sim_bridge.errors import InvalidRequest
from sim_bridge.trajectories.importers.fitting import fit
from sim_bridge.trajectories.trajectory import Trajectory, TrajectoryRecorder
from sim_bridge.types import SimSpec, SimState, StepReply

_CHUNK = 10


class ReplayClient(Protocol):
    """What of ``BridgeClient`` a replay needs."""

    def reset(self, seed: int | None = None, state: SimState | None = None) -> StepReply: ...
    def step(self, actions: np.ndarray) -> StepReply: ...
    def set_state(self, state: SimState) -> StepReply: ...


@dataclass(frozen=True)
class ReplayProgress:
    step: int
    steps: int
    reward: float
    fps: float


@dataclass(frozen=True)
class ReplayOptions:
    """``restore_states`` sets the recorded states instead of executing the actions. ``speed`` is
    the pace in simulated seconds a second, 0 as fast as possible. ``record`` collects a
    trajectory of what happened. ``clip`` cuts actions to the simulator's bounds, which would
    refuse them otherwise."""

    restore_states: bool = False
    speed: float = 0.0
    record: bool = False
    clip: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.speed < float("inf"):
            raise InvalidRequest(f"speed is {self.speed}; valid: 0 (no limit) or a positive factor")


@dataclass(frozen=True)
class ReplayReport:
    """``max_joint_error`` [rad or m] is that to the recorded states, None without any."""

    steps: int
    total_reward: float
    terminated: bool
    truncated: bool
    success: bool
    canceled: bool
    wall_time_s: float
    sim_wall_time_s: float
    max_joint_error: float | None = None
    trajectory: Trajectory | None = None


@dataclass
class _Tally:
    steps: int = 0
    reward: float = 0.0
    total_reward: float = 0.0
    terminated: bool = False
    truncated: bool = False
    success: bool = False
    sim_wall_time_s: float = 0.0
    joint_errors: list[float] = field(default_factory=list)

    def add(self, reply: StepReply) -> None:
        self.steps += len(reply.rewards)
        self.total_reward += float(reply.rewards.sum())
        self.reward = float(reply.rewards[-1])
        self.terminated |= reply.terminated
        self.truncated |= reply.truncated
        self.success |= any(reply.successes)
        self.sim_wall_time_s += reply.sim_wall_time_s


class Replayer:
    """Replays one trajectory at a time on the simulator that ``spec`` describes."""

    def __init__(
        self,
        client: ReplayClient,
        spec: SimSpec,
        on_progress: Callable[[ReplayProgress], None] = lambda progress: None,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> None:
        self._client = client
        self._spec = spec
        self._on_progress = on_progress
        self._should_stop = should_stop

    def run(self, trajectory: Trajectory, options: ReplayOptions) -> ReplayReport:
        """InvalidRequest when the trajectory does not fit, before anything has moved but a reset;
        other errors as the client raises them."""
        first = self._client.reset(seed=trajectory.seed)
        fitted = fit(trajectory, self._spec, first.state.body_names)
        if options.restore_states:
            return self._restore(fitted, options)
        return self._execute(fitted, options, first)

    def _execute(
        self, trajectory: Trajectory, options: ReplayOptions, first: StepReply
    ) -> ReplayReport:
        if not trajectory.num_steps:
            raise InvalidRequest(f"the trajectory of {trajectory.task} has no actions")
        order = [trajectory.action_names.index(name) for name in self._spec.action.names]
        actions = trajectory.actions[:, order]
        if options.clip:
            actions = np.clip(actions, self._spec.action.low, self._spec.action.high)
        if trajectory.num_states and not _is_at(first.state, trajectory.state(0)):
            first = self._client.reset(seed=trajectory.seed, state=trajectory.state(0))
        recorder = TrajectoryRecorder(self._spec, trajectory.seed, first.state)
        chunk = 1 if options.speed or options.record else _CHUNK
        pace, tally = _Pace(options.speed, self._spec.control_period_s), _Tally()
        done = False
        while tally.steps < len(actions) and not done and not self._should_stop():
            rows = actions[tally.steps : tally.steps + chunk]
            reply = self._client.step(rows)
            tally.add(reply)
            done = reply.done
            if options.record:
                recorder.add(rows[0], reply.state, tally.reward)
            if trajectory.num_states > 1:
                tally.joint_errors.append(_joint_error(trajectory.state(tally.steps), reply.state))
            self._tell(tally, len(actions), pace)
            pace.wait(tally.steps)
        stopped = tally.steps < len(actions) and not done
        written = None
        if options.record and tally.steps:
            written = recorder.finish(tally.success, {"replay_of": trajectory.task})
        return _report(tally, pace, stopped, written)

    def _restore(self, trajectory: Trajectory, options: ReplayOptions) -> ReplayReport:
        if trajectory.num_states < 2:
            raise InvalidRequest(
                f"the trajectory of {trajectory.task} holds {trajectory.num_states} state(s); "
                "restoring needs all (import with states=all)"
            )
        pace, tally = _Pace(options.speed, self._spec.control_period_s), _Tally()
        count = trajectory.num_states
        while tally.steps < count and not self._should_stop():
            state = trajectory.state(tally.steps)
            reply = self._client.set_state(state)
            tally.joint_errors.append(_joint_error(state, reply.state))
            tally.steps += 1
            self._tell(tally, count, pace)
            pace.wait(tally.steps)
        return _report(tally, pace, tally.steps < count, None)

    def _tell(self, tally: _Tally, steps: int, pace: _Pace) -> None:
        fps = tally.steps / max(pace.elapsed_s(), 1e-9)
        self._on_progress(ReplayProgress(tally.steps, steps, tally.reward, fps))


class _Pace:
    """Deadlines of the steps at ``speed``; no waiting at 0."""

    def __init__(self, speed: float, period_s: float) -> None:
        self._interval_s = period_s / speed if speed else 0.0
        self._start = time.monotonic()

    def elapsed_s(self) -> float:
        return time.monotonic() - self._start

    def wait(self, steps: int) -> None:
        left_s = steps * self._interval_s - self.elapsed_s()
        if self._interval_s and left_s > 0:
            time.sleep(left_s)


def _is_at(found: SimState, wanted: SimState) -> bool:
    """Whether the seed alone led to the very same start, bit for bit."""
    joints = zip(found.joint_positions, found.joint_velocities, strict=True)
    at = dict(zip(found.joint_names, joints, strict=True))
    bodies = dict(
        zip(found.body_names, zip(found.body_poses, found.body_twists, strict=True), strict=False)
    )
    wanted_joints = zip(wanted.joint_positions, wanted.joint_velocities, strict=True)
    return all(
        at.get(name) == values
        for name, values in zip(wanted.joint_names, wanted_joints, strict=True)
    ) and all(
        name in bodies
        and np.array_equal(bodies[name][0], pose)
        and np.array_equal(bodies[name][1], twist)
        for name, pose, twist in zip(
            wanted.body_names, wanted.body_poses, wanted.body_twists, strict=True
        )
    )


def _joint_error(wanted: SimState, found: SimState) -> float:
    """Largest difference over the joints that both name [rad or m]; 0 for none."""
    at = dict(zip(found.joint_names, found.joint_positions, strict=True))
    pairs = zip(wanted.joint_names, wanted.joint_positions, strict=True)
    return max((abs(at[name] - value) for name, value in pairs if name in at), default=0.0)


def _report(
    tally: _Tally, pace: _Pace, canceled: bool, trajectory: Trajectory | None
) -> ReplayReport:
    return ReplayReport(
        steps=tally.steps,
        total_reward=tally.total_reward,
        terminated=tally.terminated,
        truncated=tally.truncated,
        success=tally.success,
        canceled=canceled,
        wall_time_s=pace.elapsed_s(),
        sim_wall_time_s=tally.sim_wall_time_s,
        max_joint_error=max(tally.joint_errors) if tally.joint_errors else None,
        trajectory=trajectory,
    )
