"""The state machine between clients and a simulator: lease, sequence numbers, counters, checks."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from sim_bridge.errors import BridgeError, IncorrectState, OperationFailed
from sim_bridge.lease import Lease
from sim_bridge.simulator import Simulator
from sim_bridge.types import Observation, SimState, StepOutcome
from sim_bridge.validation import check_actions, check_cameras, check_state

DEFAULT_LEASE_S = 10.0


@dataclass(frozen=True)
class StepRecord:
    """One executed control step; ``action`` is None for a reset or a written state."""

    state: SimState
    outcome: StepOutcome
    action: np.ndarray | None = None


class Recorder(Protocol):
    """Is told of every reset, written state and control step, in the thread of the caller."""

    def wanted(self) -> bool:
        """Whether anybody listens: asked once a request, no record is built when not."""

    def record(self, record: StepRecord) -> None: ...

    def settle(self) -> None:
        """The scene is about to change: show now what the last record still describes."""


@dataclass(frozen=True)
class Answer:
    """Reply to Reset, Step or SetState. ``outcomes`` has one entry per step taken.

    A lean answer has no state, and an observation without joints.
    """

    state: SimState | None
    observation: Observation
    outcomes: tuple[StepOutcome, ...]


class Session:
    """Drives one simulator for one client at a time.

    A request that is refused raises a ``BridgeError`` and has changed nothing; a simulator that
    fails within a step ends the episode. With ``own_pace``
    the bridge takes the steps itself, by ``advance``, and clients' steps are refused.
    """

    def __init__(
        self,
        simulator: Simulator,
        recorder: Recorder | None = None,
        lease_s: float = DEFAULT_LEASE_S,
        clock: Callable[[], float] = time.monotonic,
        own_pace: bool = False,
    ) -> None:
        self.simulator = simulator
        self.lease = Lease(lease_s, clock)
        self._recorder = recorder
        self._episode = 0
        self._step = 0
        self._ended = ""
        self._scene = 0
        self._own_pace = own_pace

    @property
    def episode(self) -> int:
        return self._episode

    @property
    def step_count(self) -> int:
        return self._step

    @property
    def ended(self) -> str:
        """How the episode ended; empty while it goes on."""
        return self._ended

    @property
    def scene(self) -> int:
        """Counts resets and written states: it changes when the scene jumps."""
        return self._scene

    def reset(
        self,
        client_id: str,
        sequence: int,
        seed: int | None = None,
        state: SimState | None = None,
        options: dict[str, Any] | None = None,
        cameras: Sequence[str] = (),
    ) -> Answer:
        def run() -> Answer:
            return self.begin(seed, state, options, cameras)

        return self.lease.execute(client_id, sequence, "reset", run)

    def begin(
        self,
        seed: int | None = None,
        state: SimState | None = None,
        options: dict[str, Any] | None = None,
        cameras: Sequence[str] = (),
    ) -> Answer:
        """Reset for the bridge itself: no client, no lease."""
        check_cameras(cameras, self.simulator.spec.cameras)
        if state is not None:
            self._check_state(state)
        outcome = _guard("reset", lambda: self.simulator.reset(seed, state, options))
        self._episode, self._step, self._ended = self._episode + 1, 0, ""
        return self._answer(self._written(outcome), (outcome,), cameras)

    def step(
        self,
        client_id: str,
        sequence: int,
        actions: Sequence[float],
        num_steps: int = 1,
        cameras: Sequence[str] = (),
    ) -> Answer:
        self._check_pace()
        return self.lease.execute(
            client_id, sequence, "step", lambda: self.advance(actions, num_steps, cameras)
        )

    def step_lean(
        self, client_id: str, sequence: int, actions: Sequence[float], num_steps: int = 1
    ) -> Answer:
        """Without the state, and the observation without joints."""
        self._check_pace()
        return self.lease.execute(
            client_id, sequence, "step_lean", lambda: self.advance(actions, num_steps, lean=True)
        )

    def advance(
        self,
        actions: Sequence[float],
        num_steps: int = 1,
        cameras: Sequence[str] = (),
        lean: bool = False,
    ) -> Answer:
        """Step for the bridge itself: no client, no lease."""
        if self._episode == 0:
            raise IncorrectState("no episode yet; reset first")
        if self._ended:
            raise IncorrectState(f"the episode is over ({self._ended}); reset first")
        check_cameras(cameras, self.simulator.spec.cameras)
        rows = check_actions(actions, num_steps, self.simulator.spec.action)
        outcomes = self._take_steps(rows)
        state = None if lean else self._state()
        return self._answer(state, outcomes, cameras)

    def set_state(self, client_id: str, sequence: int, state: SimState) -> Answer:
        def run() -> Answer:
            if self._episode == 0:
                raise IncorrectState("no episode yet; reset first, or reset with this state")
            self._check_state(state)
            outcome = _guard("set_state", lambda: self.simulator.set_state(state))
            self._ended = ""
            return self._answer(self._written(outcome), (outcome,), ())

        return self.lease.execute(client_id, sequence, "set_state", run)

    def get_state(self) -> SimState:
        """The state with the engine's own block; for anyone, at any time after a reset."""
        if self._episode == 0:
            raise IncorrectState("no episode yet; reset first")
        return self._state(native=True)

    def render(self, cameras: Sequence[str] = ()) -> Observation:
        """Joints and images of ``cameras`` (empty: all) now; for anyone, after a reset."""
        if self._episode == 0:
            raise IncorrectState("no episode yet; reset first")
        offered = self.simulator.spec.cameras
        check_cameras(cameras, offered)
        chosen = cameras or [camera.name for camera in offered]
        return self._observation(self._state(), StepOutcome({}), chosen)

    def _check_pace(self) -> None:
        if self._own_pace:
            raise IncorrectState("the bridge steps in real time; send joint commands instead")

    def _take_steps(self, rows: np.ndarray) -> tuple[StepOutcome, ...]:
        """Step through ``rows (n, A)`` until the episode ends."""
        heard = self._recorder is not None and self._recorder.wanted()
        recorder = self._recorder if heard else None
        outcomes = []
        for action in rows:
            if recorder is not None:
                recorder.settle()
            start = time.perf_counter()
            try:
                outcome = _guard("step", lambda a=action: self.simulator.step(a))
            except OperationFailed:
                self._ended = f"the simulator failed after step {self._step}"
                raise
            outcome = replace(outcome, wall_time_s=time.perf_counter() - start)
            self._step += 1
            outcomes.append(outcome)
            if recorder is not None:
                recorder.record(StepRecord(self._state(), outcome, action))
            if outcome.terminated or outcome.truncated:
                kind = "terminated" if outcome.terminated else "truncated"
                self._ended = f"{kind} at step {self._step}"
                break
        return tuple(outcomes)

    def _written(self, outcome: StepOutcome) -> SimState:
        """The state after a reset or set_state, recorded."""
        self._scene += 1
        state = self._state()
        if self._recorder is not None and self._recorder.wanted():
            self._recorder.record(StepRecord(state, outcome))
        return state

    def _answer(
        self, state: SimState | None, outcomes: tuple[StepOutcome, ...], cameras: Sequence[str]
    ) -> Answer:
        if state is None:
            observation = Observation(
                episode=self._episode, step=self._step, arrays=outcomes[-1].arrays
            )
            return Answer(None, observation, outcomes)
        return Answer(state, self._observation(state, outcomes[-1], cameras), outcomes)

    def _state(self, native: bool = False) -> SimState:
        return self.simulator.state(native).with_counters(self._episode, self._step)

    def _observation(
        self, state: SimState, outcome: StepOutcome, cameras: Sequence[str]
    ) -> Observation:
        return Observation(
            time_s=state.time_s,
            episode=state.episode,
            step=state.step,
            joint_names=state.joint_names,
            joint_positions=state.joint_positions,
            joint_velocities=state.joint_velocities,
            images={name: self.simulator.render(name) for name in cameras},
            arrays=outcome.arrays,
            instruction=self.simulator.spec.instruction,
        )

    def _check_state(self, state: SimState) -> None:
        now = self.simulator.state()
        check_state(state, now.joint_names, now.body_names)


def _guard(what: str, call: Callable[[], Any]) -> Any:
    """A simulator's own exception as OperationFailed, so that the bridge lives on."""
    try:
        return call()
    except BridgeError:
        raise
    except Exception as error:
        raise OperationFailed(f"{what} failed in the simulator: {error!r}") from error
