"""How to read a foreign trajectory: what its file does not say."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qsl

from sim_bridge.errors import InvalidRequest, unknown

STATES = ("none", "initial", "all")


@dataclass(frozen=True)
class ImportOptions:
    """``episode`` counts from 0; ``robot`` picks one of several in a file.

    ``states`` keeps none of the recorded states, the ``initial`` one (default), or ``all``: what
    to restore, at the price of the last action where its outcome was not recorded.
    ``control_period_s`` and ``action_names`` stand in for what a file does not hold. ``rename``
    maps a name in the file to the simulator's; ``scale`` multiplies values by their name in the
    file ("*": all), e.g. degrees by pi / 180. ``seed`` is the one of the reset.
    """

    episode: int = 0
    robot: str = ""
    states: str = "initial"
    control_period_s: float | None = None
    action_names: tuple[str, ...] = ()
    rename: Mapping[str, str] = field(default_factory=dict)
    scale: Mapping[str, float] = field(default_factory=dict)
    seed: int | None = None

    def __post_init__(self) -> None:
        if self.episode < 0:
            raise InvalidRequest(f"episode is {self.episode}; valid: 0 or more")
        if self.states not in STATES:
            raise unknown("choice of states", self.states, STATES)
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
    return path, read_options(dict(parse_qsl(query, keep_blank_values=True)))


def read_options(texts: Mapping[str, str]) -> ImportOptions:
    """InvalidRequest or NotFound for an option that is unknown or has no valid value."""
    options = ImportOptions()
    for name, text in texts.items():
        if name not in _READERS:
            raise unknown("import option", name, _READERS)
        try:
            value = _READERS[name](text)
        except ValueError as error:
            raise InvalidRequest(f"import option {name} is {text!r}: {error}") from None
        options = replace(options, **{name: value})
    return options


def _pairs(text: str) -> dict[str, str]:
    out = {}
    for item in filter(None, text.split(",")):
        name, separator, value = item.rpartition(":")
        if not separator:
            raise ValueError(f"{item!r} is no NAME:VALUE")
        out[name] = value
    return out


_READERS: dict[str, Callable[[str], Any]] = {
    "episode": int,
    "robot": str,
    "states": str,
    "control_period_s": float,
    "action_names": lambda text: tuple(filter(None, text.split(","))),
    "rename": _pairs,
    "scale": lambda text: {name: float(value) for name, value in _pairs(text).items()},
    "seed": int,
}
