"""The state machine between clients and a simulator: lease, sequence numbers, counters, checks."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np

from sim_bridge.bridge.lease import Lease
from sim_bridge.bridge.validation import check_actions, check_cameras, check_state
from sim_bridge.errors import BridgeError, IncorrectState, OperationFailed
from sim_bridge.simulators.protocol import Simulator
from sim_bridge.types import LeanReply, Observation, SimState, StepOutcome, StepReply

DEFAULT_LEASE_S = 10.0

Actions: TypeAlias = Sequence[float] | np.ndarray  # row-major


@dataclass(frozen=True)
class StepRecord:
    """One executed control step; ``action`` is None for a reset or a written state.

    ``read_state`` gives the state after it, as long as the scene does not change.
    """

    read_state: Callable[[], SimState]
    outcome: StepOutcome
    action: np.ndarray | None = None
    wall_time_s: float = 0.0  # spent inside the simulator


class Recorder(Protocol):
    """Is told of every reset, written state and control step, in the thread of the caller."""

    def wanted(self) -> bool:
        """Whether anybody listens; asked before the steps of a chunk."""

    def record(self, record: StepRecord) -> None: ...

    def flush(self) -> None:
        """The scene is about to change: read now what the last record still describes."""


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
        self._read: SimState | None = None  # the state now, if it was read already

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
    ) -> StepReply:
        def run() -> StepReply:
            return self.begin(seed, state, options, cameras)

        return self.lease.execute(client_id, sequence, "reset", run)

    def begin(
        self,
        seed: int | None = None,
        state: SimState | None = None,
        options: dict[str, Any] | None = None,
        cameras: Sequence[str] = (),
    ) -> StepReply:
        """Reset for the bridge itself: no client, no lease."""
        check_cameras(cameras, self.simulator.spec.cameras)
        if state is not None:
            check_state(state, self.simulator.state())
        self._read = None
        outcome = _guard("reset", self.simulator.reset, seed, state, options)
        self._episode, self._step, self._ended = self._episode + 1, 0, ""
        return self._written(outcome, cameras)

    def step(
        self,
        client_id: str,
        sequence: int,
        actions: Actions,
        num_steps: int = 1,
        cameras: Sequence[str] = (),
    ) -> StepReply:
        def run() -> StepReply:
            rows = self._check_step(actions, num_steps, cameras)
            outcomes, spent_s = self._take_steps(rows)
            state = self._state()
            observation = self._observation(state, outcomes[-1], cameras)
            return StepReply(state=state, **_told(observation, outcomes, spent_s))

        self._check_pace()
        return self.lease.execute(client_id, sequence, "step", run)

    def step_lean(
        self, client_id: str, sequence: int, actions: Actions, num_steps: int = 1
    ) -> LeanReply:
        """Without the state, and the observation without joints."""
        self._check_pace()
        return self.lease.execute(
            client_id, sequence, "step_lean", lambda: self.advance(actions, num_steps)
        )

    def advance(self, actions: Actions, num_steps: int = 1) -> LeanReply:
        """Step for the bridge itself: no client, no lease."""
        outcomes, spent_s = self._take_steps(self._check_step(actions, num_steps))
        arrays = outcomes[-1].arrays
        observation = Observation(episode=self._episode, step=self._step, arrays=arrays)
        return LeanReply(**_told(observation, outcomes, spent_s))

    def _check_step(
        self, actions: Actions, num_steps: int, cameras: Sequence[str] = ()
    ) -> np.ndarray:
        """The actions as rows ``(n, A)``, of an episode that goes on."""
        if self._episode == 0:
            raise IncorrectState("no episode yet; reset first")
        if self._ended:
            raise IncorrectState(f"the episode is over ({self._ended}); reset first")
        check_cameras(cameras, self.simulator.spec.cameras)
        return check_actions(actions, num_steps, self.simulator.spec.action)

    def set_state(self, client_id: str, sequence: int, state: SimState) -> StepReply:
        def run() -> StepReply:
            if self._episode == 0:
                raise IncorrectState("no episode yet; reset first, or reset with this state")
            check_state(state, self.simulator.state())
            self._read = None
            outcome = _guard("set_state", self.simulator.set_state, state)
            self._ended = ""
            return self._written(outcome)

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

    def _take_steps(self, rows: np.ndarray) -> tuple[list[StepOutcome], float]:
        """Step through ``rows (n, A)`` until the episode ends; also the seconds it took."""
        recorder = self._recorder
        # A single step is recorded anyway: whether anybody listens is asked after the answer.
        if recorder is not None and len(rows) > 1 and not recorder.wanted():
            recorder = None
        outcomes, spent_s = [], 0.0
        for action in rows:
            if recorder is not None:
                recorder.flush()
            self._read = None
            start = time.perf_counter()
            try:
                outcome = _guard("step", self.simulator.step, action)
            except OperationFailed:
                self._ended = f"the simulator failed after step {self._step}"
                raise
            wall_time_s = time.perf_counter() - start
            spent_s += wall_time_s
            self._step += 1
            outcomes.append(outcome)
            if recorder is not None:
                recorder.record(StepRecord(self._state, outcome, action, wall_time_s))
            if outcome.terminated or outcome.truncated:
                kind = "terminated" if outcome.terminated else "truncated"
                self._ended = f"{kind} at step {self._step}"
                break
        return outcomes, spent_s

    def _written(self, outcome: StepOutcome, cameras: Sequence[str] = ()) -> StepReply:
        """The reply to a reset or set_state, recorded."""
        self._scene += 1
        self._read = None
        if self._recorder is not None:
            self._recorder.record(StepRecord(self._state, outcome))
        state = self._state()
        observation = self._observation(state, outcome, cameras)
        return StepReply(state=state, observation=observation, info=outcome.info)

    def _state(self, native: bool = False) -> SimState:
        if native:
            return self.simulator.state(native=True).with_counters(self._episode, self._step)
        if self._read is None:
            self._read = self.simulator.state().with_counters(self._episode, self._step)
        return self._read

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


def _told(
    observation: Observation, outcomes: Sequence[StepOutcome], spent_s: float
) -> dict[str, Any]:
    """Fields of the reply to steps."""
    last = outcomes[-1]
    return dict(
        observation=observation,
        info=last.info,
        rewards=np.array([o.reward for o in outcomes], dtype=float),
        successes=tuple([o.success for o in outcomes]),
        terminated=last.terminated,
        truncated=last.truncated,
        sim_wall_time_s=spent_s,
    )


def _guard(what: str, call: Callable[..., Any], *arguments: Any) -> Any:
    """A simulator's own exception as OperationFailed, so that the bridge lives on."""
    try:
        return call(*arguments)
    except BridgeError:
        raise
    except Exception as error:
        raise OperationFailed(f"{what} failed in the simulator: {error!r}") from error
