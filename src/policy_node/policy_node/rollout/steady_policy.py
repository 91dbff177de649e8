"""A policy that may fail for a while: asked again, and replaced by the hold action meanwhile."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from policy_node.policies.builtin.hold import hold_action
from policy_node.policy import Policy, PolicySpec
from sim_bridge.backoff import Backoff
from sim_bridge.errors import (
    BridgeError,
    Busy,
    Canceled,
    FeatureUnsupported,
    OperationFailed,
    TimedOut,
)
from sim_bridge.settings.parameters import parameter
from sim_bridge.types import Observation, SimSpec

log = logging.getLogger(__name__)

_FIRST_DELAY_S = 0.05
_LONGEST_PAUSE_S = 1.0
_LOG_EVERY_S = 5.0
_TROUBLE = (OperationFailed, TimedOut, Busy)


@dataclass(frozen=True)
class Steadiness:
    """A busy or silent policy is asked again for ``patience_s``; after that, and after an answer
    that was nonsense, the robot holds for one step, and the next question waits a little longer
    each time. ``max_holds`` of these in a row end it, and so do ``give_up_s`` without an answer,
    in which all calls, retries, pauses and holds are counted."""

    patience_s: float = parameter(
        20.0,
        "how long a silent or busy policy is asked again [s]; then the robot holds for a step",
        above=0.0,
    )
    max_holds: int = parameter(50, "steps in a row that the robot may hold", low=0)
    give_up_s: float = parameter(
        60.0,
        "how long the policy may give no good answer before the goal fails [s]; calls, retries "
        "and holds are counted",
        above=0.0,
    )


@dataclass
class Trouble:
    """Counted over one episode; ``errors`` by type."""

    retries: int = 0
    held_steps: int = 0
    errors: dict[str, int] = field(default_factory=dict)
    last_error: str = ""

    def count(self, error: BridgeError) -> None:
        name = type(error).__name__
        self.errors[name] = self.errors.get(name, 0) + 1
        self.last_error = str(error)


class SteadyPolicy:
    """Wraps one client's policy. Errors that no waiting will mend (an unknown policy, an
    observation that lacks something) pass through, and so does trouble when the task has no
    known hold action or ``Steadiness`` says that it is enough. Canceled when ``should_stop`` says
    so between two tries. ``limit_call`` is told before each call how long it may take [s]."""

    def __init__(
        self,
        policy: Policy,
        sim_spec: SimSpec,
        steadiness: Steadiness = Steadiness(),
        should_stop: Callable[[], bool] = lambda: False,
        limit_call: Callable[[float], None] = lambda seconds: None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._policy = policy
        self._sim_spec = sim_spec
        self._steadiness = steadiness
        self._should_stop = should_stop
        self._limit_call = limit_call
        self._clock = clock
        self._sleep = sleep
        self._begin()

    def _begin(self) -> None:
        self._trouble = Trouble()
        self._holds_in_a_row = 0
        self._unanswered_since_s: float | None = None
        self._logged_s = -math.inf
        self._chunk: np.ndarray | None = None
        self._chunk_step = 0

    @property
    def spec(self) -> PolicySpec:
        return self._policy.spec

    def infer(self, observation: Observation) -> np.ndarray:
        """A chunk ``(H, A)``: the policy's, or one hold action."""
        try:
            self._pause()
            chunk = self._insist(lambda: self._policy.infer(observation))
        except _TROUBLE as error:
            return self._hold(observation, error)
        if self._holds_in_a_row:
            log.warning("the policy answers again after %d held steps", self._holds_in_a_row)
        self._holds_in_a_row = 0
        self._unanswered_since_s = None
        self._chunk, self._chunk_step = chunk, observation.step
        return chunk

    def reset(self, seed: int | None = None, instruction: str = "") -> None:
        self._begin()
        self._insist(lambda: self._policy.reset(seed, instruction))
        self._unanswered_since_s = None

    def report(self) -> dict[str, Any]:
        """Figures of the episode so far."""
        return asdict(self._trouble)

    def close(self) -> None:
        self._policy.close()

    def _left_s(self) -> float:
        """What remains of ``give_up_s``, which begins with the first call that is not answered."""
        if self._unanswered_since_s is None:
            self._unanswered_since_s = self._clock()
        return self._steadiness.give_up_s - (self._clock() - self._unanswered_since_s)

    def _pause(self) -> None:
        """After a hold: a policy that fails at once is not asked a thousand times a second."""
        if self._holds_in_a_row:
            self._sleep(_pause_s(self._holds_in_a_row))
            if self._should_stop():
                raise Canceled(f"stopped while the robot held: {self._trouble.last_error}")

    def _insist(self, ask: Callable[[], Any]) -> Any:
        """Ask until there is an answer, an error that is one, or no patience left."""
        patience_s = min(self._steadiness.patience_s, self._left_s())
        backoff = Backoff(_FIRST_DELAY_S, give_up_s=patience_s, clock=self._clock)
        while True:
            try:
                self._limit_call(max(0.0, self._left_s()))
                return ask()
            except (Busy, TimedOut) as error:
                self._trouble.count(error)
                if self._should_stop():
                    raise Canceled(f"stopped while the policy did not answer: {error}") from None
                delay_s = backoff.delay_s()
                if delay_s is None:
                    raise
                self._warn("asking the policy again in %.2f s: %s", delay_s, error)
                self._trouble.retries += 1
                self._sleep(delay_s)
            except OperationFailed as error:
                self._trouble.count(error)
                raise

    def _hold(self, observation: Observation, error: BridgeError) -> np.ndarray:
        allowed, left_s = self._steadiness, self._left_s()
        too_late = left_s <= _pause_s(self._holds_in_a_row + 1)
        if self._holds_in_a_row >= allowed.max_holds or too_late:
            raise type(error)(
                f"{error} (held {self._holds_in_a_row} steps in a row, no answer for "
                f"{allowed.give_up_s - left_s:.1f} s; max_holds is {allowed.max_holds}, "
                f"give_up_s {allowed.give_up_s:g})"
            ) from error
        try:
            action = hold_action(self._sim_spec, observation, self._executed(observation.step))
        except FeatureUnsupported:
            raise error from None
        self._warn("step %d: holding, because %s", observation.step, error)
        self._holds_in_a_row += 1
        self._trouble.held_steps += 1
        return action[None]

    def _warn(self, text: str, *details: Any) -> None:
        """The first of a trouble, and one now and then."""
        now_s = self._clock()
        if now_s - self._logged_s >= _LOG_EVERY_S:
            log.warning(text, *details)
            self._logged_s = now_s

    def _executed(self, step: int) -> np.ndarray | None:
        """The last action of the last good chunk that was meant for before ``step``."""
        if self._chunk is None:
            return None
        return self._chunk[max(0, min(step - 1 - self._chunk_step, len(self._chunk) - 1))]


def _pause_s(holds: int) -> float:
    return min(_FIRST_DELAY_S * 2 ** min(holds - 1, 10), _LONGEST_PAUSE_S)
