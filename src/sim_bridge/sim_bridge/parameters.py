"""Parameters of the bridge node, validated once."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from sim_bridge.errors import InvalidRequest
from sim_bridge.simulators.registry import simulator_names


@dataclass(frozen=True)
class BridgeParameters:
    """``simulator`` hosts ``task``; ``task_options`` is a JSON object for it.

    ``lease_s`` is how long a silent client keeps control. Images have one size [px].
    """

    simulator: str = "gymnasium"
    task: str = "SO101PickPlace-v0"
    task_options: str = ""
    lease_s: float = 10.0
    image_width: int = 640
    image_height: int = 480

    def __post_init__(self) -> None:
        if self.simulator not in simulator_names():
            raise InvalidRequest(
                f"parameter simulator is {self.simulator!r}; valid: {', '.join(simulator_names())}"
            )
        if not self.lease_s > 0:
            raise InvalidRequest(f"parameter lease_s is {self.lease_s}; valid: a positive time [s]")
        for name in ("image_width", "image_height"):
            if not 16 <= getattr(self, name) <= 4096:
                raise InvalidRequest(f"parameter {name} is {getattr(self, name)}; valid: 16 to 4096")
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
