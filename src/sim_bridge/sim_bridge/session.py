"""The state machine between clients and a simulator: lease, sequence numbers, counters, checks."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

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


@dataclass(frozen=True)
class Answer:
    """Reply to Reset, Step or SetState. ``outcomes`` has one entry per step taken."""

    state: SimState
    observation: Observation
    outcomes: tuple[StepOutcome, ...]


class Session:
    """Drives one simulator for one client at a time.

    ``on_record`` is called after every reset, written state and control step, in the thread of
    the caller. A request that is refused raises a ``BridgeError`` and has changed nothing.
    """

    def __init__(
        self,
        simulator: Simulator,
        on_record: Callable[[StepRecord], None] = lambda record: None,
        lease_s: float = DEFAULT_LEASE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.simulator = simulator
        self.lease = Lease(lease_s, clock)
        self._on_record = on_record
        self._episode = 0
        self._step = 0
        self._ended = ""

    @property
    def episode(self) -> int:
        return self._episode

    @property
    def step_count(self) -> int:
        return self._step

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
            check_cameras(cameras, self.simulator.spec.cameras)
            if state is not None:
                self._check_state(state)
            outcome = _guard("reset", lambda: self.simulator.reset(seed, state, options))
            self._episode, self._step, self._ended = self._episode + 1, 0, ""
            return self._answer([StepRecord(self._state(), outcome)], cameras)

        return self.lease.execute(client_id, sequence, "reset", run)

    def step(
        self,
        client_id: str,
        sequence: int,
        actions: Sequence[float],
        num_steps: int = 1,
        cameras: Sequence[str] = (),
    ) -> Answer:
        def run() -> Answer:
            if self._episode == 0:
                raise IncorrectState("no episode yet; reset first")
            if self._ended:
                raise IncorrectState(f"the episode is over ({self._ended}); reset first")
            check_cameras(cameras, self.simulator.spec.cameras)
            rows = check_actions(actions, num_steps, self.simulator.spec.action)
            return self._answer(list(self._steps(rows)), cameras)

        return self.lease.execute(client_id, sequence, "step", run)

    def set_state(self, client_id: str, sequence: int, state: SimState) -> Answer:
        def run() -> Answer:
            if self._episode == 0:
                raise IncorrectState("no episode yet; reset first, or reset with this state")
            self._check_state(state)
            outcome = _guard("set_state", lambda: self.simulator.set_state(state))
            self._ended = ""
            return self._answer([StepRecord(self._state(), outcome)], ())

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

    def _steps(self, rows: np.ndarray):
        for action in rows:
            start = time.perf_counter()
            outcome = _guard("step", lambda: self.simulator.step(action))
            outcome = replace(outcome, wall_time_s=time.perf_counter() - start)
            self._step += 1
            record = StepRecord(self._state(), outcome, action)
            self._on_record(record)
            yield record
            if outcome.terminated or outcome.truncated:
                kind = "terminated" if outcome.terminated else "truncated"
                self._ended = f"{kind} at step {self._step}"
                return

    def _answer(self, records: list[StepRecord], cameras: Sequence[str]) -> Answer:
        last = records[-1]
        if last.action is None:
            self._on_record(last)
        observation = self._observation(last.state, last.outcome, cameras)
        return Answer(last.state, observation, tuple(r.outcome for r in records))

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
