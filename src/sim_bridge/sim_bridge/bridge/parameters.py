"""Parameters of the bridge node, validated once."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from sim_bridge.bridge.real_time.core import HOLD, ON_STALE
from sim_bridge.errors import InvalidRequest
from sim_bridge.simulators.registry import simulator_names

LOCK_STEP, REAL_TIME = "lock_step", "real_time"
MODES = (LOCK_STEP, REAL_TIME)


@dataclass(frozen=True)
class BridgeParameters:
    """``simulator`` hosts ``task``; ``task_options`` is a JSON object for it.

    ``lease_s`` is how long a silent client keeps control. Images have one size [px].
    ``mode`` is lock_step (clients step) or real_time (the wall clock does, with targets from
    joint_command); there, a command older than ``command_timeout_s`` is stale, and ``on_stale``
    is hold (keep its target) or stop (stay where the joints are).
    """

    simulator: str = "gymnasium"
    task: str = "SO101PickPlace-v0"
    task_options: str = ""
    lease_s: float = 10.0
    mode: str = LOCK_STEP
    command_timeout_s: float = 0.5
    on_stale: str = HOLD
    image_width: int = 640
    image_height: int = 480

    def __post_init__(self) -> None:
        if self.simulator not in simulator_names():
            raise InvalidRequest(
                f"parameter simulator is {self.simulator!r}; valid: {', '.join(simulator_names())}"
            )
        for name in ("lease_s", "command_timeout_s"):
            value = getattr(self, name)
            if not value > 0:
                raise InvalidRequest(f"parameter {name} is {value}; valid: a positive time [s]")
        for name, valid in (("mode", MODES), ("on_stale", ON_STALE)):
            value = getattr(self, name)
            if value not in valid:
                raise InvalidRequest(f"parameter {name} is {value!r}; valid: {', '.join(valid)}")
        for name in ("image_width", "image_height"):
            value = getattr(self, name)
            if not 16 <= value <= 4096:
                raise InvalidRequest(f"parameter {name} is {value}; valid: 16 to 4096")
        self.task_kwargs()

    def task_kwargs(self) -> dict[str, Any]:
        """``task_options`` parsed."""
        try:
            options = json.loads(self.task_options or "{}")
        except json.JSONDecodeError as error:
            raise InvalidRequest(f"parameter task_options is no JSON: {error}") from None
        if not isinstance(options, dict):
            raise InvalidRequest(f"parameter task_options is {options!r}; valid: a JSON object")
        return options
