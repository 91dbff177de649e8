"""Replaying a trajectory through a bridge: actions executed, or recorded states restored."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from sim_bridge.episodes.running import Environment, RunningEpisode, Subscriber
from sim_bridge.errors import InvalidRequest
from sim_bridge.trajectories.importers.fitting import fit
from sim_bridge.trajectories.trajectory import Trajectory
from sim_bridge.types import EpisodeResult, SimSpec, SimState, StepReply

_CHUNK = 10
_NO_ACTION = np.zeros((0, 0))


class ReplayClient(Environment, Protocol):
    """What of ``BridgeClient`` a replay needs."""

    def reset(self, seed: int | None = None, state: SimState | None = None) -> StepReply: ...
    def set_state(self, state: SimState) -> StepReply: ...


@dataclass(frozen=True)
class ReplayOptions:
    """``restore_states`` sets the recorded states instead of executing the actions. ``speed`` is
    the pace in simulated seconds a second, 0 as fast as possible. ``clip`` cuts actions to the
    simulator's bounds, which would refuse them otherwise."""

    restore_states: bool = False
    speed: float = 0.0
    clip: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.speed < float("inf"):
            raise InvalidRequest(f"speed is {self.speed}; valid: 0 (no limit) or a positive factor")


@dataclass(frozen=True)
class ReplayReport:
    """``max_joint_error`` [rad or m] is that to the recorded states, None without any."""

    episode: EpisodeResult
    max_joint_error: float | None = None


class Replayer:
    """Replays one trajectory at a time on the simulator that ``spec`` describes."""

    def __init__(
        self,
        client: ReplayClient,
        spec: SimSpec,
        subscribers: Sequence[Subscriber] = (),
        should_stop: Callable[[], bool] = lambda: False,
    ) -> None:
        self._client = client
        self._spec = spec
        self._subscribers = subscribers
        self._should_stop = should_stop

    def run(self, trajectory: Trajectory, options: ReplayOptions) -> ReplayReport:
        """InvalidRequest when the trajectory does not fit, before anything has moved but a reset;
        other errors as the client raises them."""
        first = self._client.reset(seed=trajectory.seed)
        fitted = fit(trajectory, self._spec, first.state.body_names)
        if options.restore_states:
            return self._restore(fitted, options, first)
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
        run, pace = self._start(trajectory, options, first)
        chunk = 1 if options.speed or run.every_step else _CHUNK
        errors, succeeded = [], False
        while run.steps < len(actions) and not run.ended and not self._should_stop():
            rows = actions[run.steps : run.steps + chunk]
            reply = self._client.step(rows)
            run.take(rows, reply)
            succeeded |= any(reply.successes)
            if trajectory.num_states > 1:
                errors.append(_joint_error(trajectory.state(run.steps), reply.state))
            pace.wait(run.steps)
        run.success = succeeded  # at any step: the recorded actions know nothing of it
        stopped = run.steps < len(actions) and not run.ended
        return ReplayReport(run.end(canceled=stopped), max(errors, default=None))

    def _restore(
        self, trajectory: Trajectory, options: ReplayOptions, first: StepReply
    ) -> ReplayReport:
        """A restored state counts as a step."""
        if trajectory.num_states < 2:
            raise InvalidRequest(
                f"the trajectory of {trajectory.task} holds {trajectory.num_states} state(s); "
                "restoring needs all (import with states=all)"
            )
        run, pace = self._start(trajectory, options, first)
        errors = []
        while run.steps < trajectory.num_states and not self._should_stop():
            state = trajectory.state(run.steps)
            reply = self._client.set_state(state)
            errors.append(_joint_error(state, reply.state))
            run.take(_NO_ACTION, replace(reply, rewards=np.zeros(1)))
            pace.wait(run.steps)
        stopped = run.steps < trajectory.num_states
        return ReplayReport(run.end(canceled=stopped), max(errors, default=None))

    def _start(
        self, trajectory: Trajectory, options: ReplayOptions, first: StepReply
    ) -> tuple[RunningEpisode, _Pace]:
        run = RunningEpisode(trajectory.seed, self._subscribers)
        run.start(first)
        return run, _Pace(options.speed, self._spec.control_period_s)


class _Pace:
    """Deadlines of the steps at ``speed``; no waiting at 0."""

    def __init__(self, speed: float, period_s: float) -> None:
        self._interval_s = period_s / speed if speed else 0.0
        self._start = time.monotonic()

    def wait(self, steps: int) -> None:
        left_s = steps * self._interval_s - (time.monotonic() - self._start)
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
