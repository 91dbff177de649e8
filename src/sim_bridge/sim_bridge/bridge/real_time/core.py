"""Stepping by the wall clock, with whatever joint targets have arrived by then."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sim_bridge.bridge.real_time.command_slot import CommandSlot
from sim_bridge.bridge.real_time.pacer import Pacer
from sim_bridge.bridge.session import Session
from sim_bridge.errors import BridgeError, FeatureUnsupported, IncorrectState, OperationFailed
from sim_bridge.types import ActionSpec, SimState

JOINT_POSITION = "joint_position"
HOLD, STOP = "hold", "stop"
ON_STALE = (HOLD, STOP)


@dataclass(frozen=True)
class RealTimeStatus:
    """``real_time_factor`` is since the last status, all counts since the start.

    ``problem`` is why the bridge stopped stepping by itself; empty when it did not.
    """

    real_time_factor: float
    missed_deadlines: int
    stale: bool
    stale_commands: int
    paused: bool
    problem: str


def check_commandable(spec: ActionSpec) -> None:
    """FeatureUnsupported unless actions are joint positions: only those can wait for the next."""
    if spec.control_mode != JOINT_POSITION:
        raise FeatureUnsupported(
            f"mode real_time needs control mode {JOINT_POSITION!r}; this task has "
            f"{spec.control_mode!r} ({', '.join(spec.names)}). Use mode lock_step"
        )


class RealTime:
    """Steps ``session`` on the deadlines of ``pacer`` with the target in ``slot``.

    A command older than ``command_timeout_s`` is stale. ``on_stale`` says what then: ``hold``
    keeps its target, ``stop`` makes the positions the joints have reached the target. After a
    reset or a written state the targets are those of the scene. One thread, the simulator's.
    """

    def __init__(
        self,
        session: Session,
        slot: CommandSlot,
        pacer: Pacer,
        command_timeout_s: float,
        on_stale: str,
    ) -> None:
        self._spec = session.simulator.spec.action
        check_commandable(self._spec)
        self._session = session
        self._slot = slot
        self._pacer = pacer
        self._timeout_s = command_timeout_s
        self._on_stale = on_stale
        self._scene = 0
        self._paused = False
        self._problem = ""
        self._stale = False
        self._stale_commands = 0

    def start(self) -> None:
        """Begin the first episode."""
        self._session.begin()

    def wait_s(self) -> float:
        """Time until ``run_due`` has something to do, unless a request changes that."""
        return float("inf") if self._idle() else self._pacer.left_s()

    def run_due(self) -> bool:
        """Take a step if its time has come; whether one was taken."""
        self._follow_scene()
        if self._idle() or not self._pacer.due():
            return False
        self._pacer.tick()
        return self._step(self._target())

    def pause(self, paused: bool) -> None:
        """Stop or resume stepping. IncorrectState when the episode to resume is over."""
        if not paused:
            self._check_goes_on()
            self._problem = ""
            self._pacer.restart()
        self._paused = paused

    def single_step(self) -> int:
        """One step of the paused simulation with the latest target, however old: its number."""
        if not self._paused:
            raise IncorrectState("the simulation runs; pause it first")
        self._check_goes_on()
        self._follow_scene()
        if not self._step(self._slot.latest().target):
            raise OperationFailed(self._problem)
        return self._session.step_count

    def take_status(self) -> RealTimeStatus:
        ended = self._session.ended
        return RealTimeStatus(
            real_time_factor=self._pacer.take_real_time_factor(),
            missed_deadlines=self._pacer.missed,
            stale=self._stale,
            stale_commands=self._stale_commands,
            paused=self._paused,
            problem=self._problem or (f"the episode is over ({ended}); reset" if ended else ""),
        )

    def _idle(self) -> bool:
        return self._paused or bool(self._session.ended)

    def _check_goes_on(self) -> None:
        if self._session.ended:
            raise IncorrectState(f"the episode is over ({self._session.ended}); reset first")

    def _follow_scene(self) -> None:
        """After a jump of the scene, old targets and deadlines mean nothing."""
        if self._session.scene == self._scene:
            return
        self._scene = self._session.scene
        self._slot.hold(self._in_bounds(_targets(self._state(), self._spec.names)))
        self._pacer.restart()
        self._stale = False
        if self._problem:
            self._problem, self._paused = "", False

    def _target(self) -> np.ndarray:
        command = self._slot.latest()
        if command.age_s is None:
            return command.target
        stale = command.age_s > self._timeout_s
        if stale and not self._stale:
            self._stale_commands += 1
        self._stale = stale
        if stale and self._on_stale == STOP:
            reached = self._in_bounds(_positions(self._state(), self._spec.names))
            self._slot.hold(reached, instead_of=command)
            return self._slot.latest().target
        return command.target

    def _step(self, target: np.ndarray) -> bool:
        try:
            self._session.advance(target)
        except BridgeError as error:
            self._problem, self._paused = str(error), True
            return False
        return True

    def _state(self) -> SimState:
        return self._session.simulator.state()

    def _in_bounds(self, target: np.ndarray) -> np.ndarray:
        return np.clip(target, self._spec.low, self._spec.high)


def _positions(state: SimState, names: tuple[str, ...]) -> np.ndarray:
    """Positions of the joints ``names``; a simulator in joint position control has them all."""
    known = dict(zip(state.joint_names, state.joint_positions, strict=True))
    return np.array([known[name] for name in names])


def _targets(state: SimState, names: tuple[str, ...]) -> np.ndarray:
    """Targets of the joints ``names`` where the scene has one, else their positions."""
    known = dict(zip(state.joint_names, state.joint_positions, strict=True))
    known.update(zip(state.target_names, state.target_positions, strict=True))
    return np.array([known[name] for name in names])
