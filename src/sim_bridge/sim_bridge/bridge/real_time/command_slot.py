"""The latest joint targets, handed from the thread that receives them to the one that steps."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from sim_bridge.errors import InvalidAction, unknown
from sim_bridge.types import ActionSpec


@dataclass(frozen=True)
class Command:
    """``target (A,)``; ``age_s`` since the last command, None when there was none."""

    target: np.ndarray
    age_s: float | None
    number: int


def match_targets(
    names: Sequence[str], positions: Sequence[float], spec: ActionSpec
) -> dict[int, float]:
    """Targets of some joints by their index in the action, matched by name.

    InvalidAction unless there is one finite position in bounds a name; NotFound for other names.
    """
    if not names or len(names) != len(positions):
        raise InvalidAction(
            f"{len(names)} joint names and {len(positions)} positions; valid: the same number, "
            "one or more"
        )
    targets: dict[int, float] = {}
    for name, position in zip(names, positions, strict=True):
        if name not in spec.names:
            raise unknown("joint", name, spec.names)
        index = spec.names.index(name)
        if index in targets:
            raise InvalidAction(f"joint {name!r} is named twice")
        if not spec.low[index] <= position <= spec.high[index]:
            bounds = f"{spec.low[index]:g} to {spec.high[index]:g} {spec.units[index]}"
            raise InvalidAction(f"target of {name}: {position:g}; valid: {bounds}")
        targets[index] = float(position)
    return targets


class CommandSlot:
    """Holds one target; joints that a command does not name keep theirs. From any thread."""

    def __init__(self, size: int, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._target = np.zeros(size)
        self._received_s: float | None = None
        self._number = 0

    def put(self, targets: dict[int, float]) -> None:
        """A command with ``targets`` by index has arrived."""
        with self._lock:
            for index, value in targets.items():
                self._target[index] = value
            self._received_s = self._clock()
            self._number += 1

    def latest(self) -> Command:
        with self._lock:
            age_s = None if self._received_s is None else self._clock() - self._received_s
            return Command(self._target.copy(), age_s, self._number)

    def hold(self, target: np.ndarray, instead_of: Command | None = None) -> None:
        """Forget all commands for ``target (A,)``, unless one came after ``instead_of``."""
        with self._lock:
            if instead_of is None or instead_of.number == self._number:
                self._target = np.array(target, dtype=np.float64)
                self._received_s = None
