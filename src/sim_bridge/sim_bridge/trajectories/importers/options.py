"""How to read a foreign trajectory: what its file does not say."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from sim_bridge.errors import InvalidRequest
from sim_bridge.settings.options import parse_options
from sim_bridge.settings.parameters import check, parameter

EVERY = "*"  # as a name in scale
STATES = ("none", "initial", "all")


@dataclass(frozen=True)
class ImportOptions:
    """``control_period_s`` and ``action_names`` stand in for what a file does not hold. ``rename``
    maps a name in the file to the simulator's; ``scale`` multiplies values by their name in the
    file ("*": all), e.g. degrees by pi / 180. ``seed`` is the one of the reset.
    """

    episode: int = parameter(0, "of a file or dataset that holds several", low=0)
    robot: str = parameter("", "which, when a file holds several")
    states: str = parameter(
        "initial",
        "recorded states to keep; all is what a restore needs, at the price of the last action "
        "where its outcome was not recorded",
        choices=STATES,
    )
    control_period_s: float | None = None
    action_names: tuple[str, ...] = ()
    rename: Mapping[str, str] = field(default_factory=dict)
    scale: Mapping[str, float] = field(default_factory=dict)
    seed: int | None = None

    def __post_init__(self) -> None:
        check(self)
        if self.control_period_s is not None and not self.control_period_s > 0:
            raise InvalidRequest(f"control_period_s is {self.control_period_s}; valid: positive")
        for name, factor in self.scale.items():
            if not (math.isfinite(factor) and factor):
                raise InvalidRequest(f"scale of {name!r} is {factor}; valid: a number other than 0")

    def period_or(self, own_s: float | None, path: object) -> float:
        """The control period [s]: as asked for, else the file's own. InvalidRequest for neither."""
        period_s = self.control_period_s or own_s
        if not period_s:
            raise InvalidRequest(f"{path} does not say its control period; give control_period_s")
        return float(period_s)


def parse_address(address: str) -> tuple[str, ImportOptions]:
    """``PATH?episode=3&robot=franka&rename=a:b,c:d&scale=a:0.5&...`` as path and options."""
    path, _, query = address.partition("?")
    return path, parse_options(
        ImportOptions, dict(parse_qsl(query, keep_blank_values=True)), "import option"
    )
