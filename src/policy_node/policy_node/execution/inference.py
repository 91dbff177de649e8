"""Inference that goes on while the robot moves: in a thread, or simulated step by step."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from sim_bridge.types import Observation

InferFunction = Callable[[Observation], np.ndarray]


@dataclass(frozen=True)
class Finished:
    """A chunk ``actions (H, A)``; row ``i`` is meant for step ``observation_step + i``."""

    observation_step: int
    actions: np.ndarray
    seconds: float


class InferenceRunner(Protocol):
    """At most one inference at a time; driven by one thread."""

    @property
    def busy(self) -> bool:
        """Something was submitted and not collected yet."""

    def submit(self, observation: Observation, infer: InferFunction) -> None: ...

    def poll(self, step: int) -> Finished | None:
        """The result, if it is there by control step ``step``. Raises what ``infer`` raised."""

    def wait(self) -> Finished:
        """The result of what is under way, however long it takes."""

    def close(self) -> None: ...


class BackgroundInference:
    """Runs in a worker thread: results arrive when they arrive."""

    def __init__(self) -> None:
        self._done = threading.Event()
        self._thread: threading.Thread | None = None
        self._result: Finished | None = None
        self._error: BaseException | None = None

    @property
    def busy(self) -> bool:
        return self._thread is not None

    def submit(self, observation: Observation, infer: InferFunction) -> None:
        if self.busy:
            raise RuntimeError("an inference is under way already")
        self._done.clear()
        self._thread = threading.Thread(
            target=self._run, args=(observation, infer), name="inference", daemon=True
        )
        self._thread.start()

    def poll(self, step: int) -> Finished | None:
        return self.wait() if self.busy and self._done.is_set() else None

    def wait(self) -> Finished:
        if self._thread is None:
            raise RuntimeError("no inference is under way")
        self._done.wait()
        self._thread.join()
        self._thread, result, error = None, self._result, self._error
        self._result = self._error = None
        if error is not None:
            raise error
        assert result is not None
        return result

    def close(self) -> None:
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.join()

    def _run(self, observation: Observation, infer: InferFunction) -> None:
        try:
            self._result = timed(observation, infer)
        except BaseException as error:  # handed to the thread that collects the result
            self._error = error
        finally:
            self._done.set()


class DelayedInference:
    """Infers at once and hands the result out ``delay_steps`` control steps later.

    Simulates a slow policy in simulation time: the same every time, on any machine.
    """

    def __init__(self, delay_steps: int) -> None:
        if delay_steps < 0:
            raise ValueError(f"delay_steps is {delay_steps}; valid: 0 or more")
        self._delay_steps = delay_steps
        self._result: Finished | None = None

    @property
    def busy(self) -> bool:
        return self._result is not None

    def submit(self, observation: Observation, infer: InferFunction) -> None:
        if self.busy:
            raise RuntimeError("an inference is under way already")
        self._result = timed(observation, infer)

    def poll(self, step: int) -> Finished | None:
        due = self._result is not None and step >= self._result.observation_step + self._delay_steps
        return self.wait() if due else None

    def wait(self) -> Finished:
        result, self._result = self._result, None
        if result is None:
            raise RuntimeError("no inference is under way")
        return result

    def close(self) -> None:
        self._result = None


def timed(observation: Observation, infer: InferFunction) -> Finished:
    """Call ``infer`` and time it."""
    started = time.perf_counter()
    actions = np.asarray(infer(observation), dtype=np.float64)
    seconds = time.perf_counter() - started
    if actions.ndim != 2 or 0 in actions.shape:
        raise ValueError(f"the policy returned a chunk of shape {actions.shape}; valid: (H, A)")
    return Finished(observation.step, actions, seconds)
