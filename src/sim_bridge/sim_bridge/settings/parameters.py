"""Settings as frozen dataclasses whose fields know their description and valid values.

    @dataclass(frozen=True)
    class ArmParameters:
        speed_hz: float = parameter(30.0, "how often it moves [Hz]", low=0.1, high=120.0)

        def __post_init__(self) -> None:
            check(self)

``check`` is the one range checker, ``describe`` lists the fields without making an instance or
a node. ``ros.parameters`` declares them on a node; ``ros.program`` shows them with ``--help``.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

from sim_bridge.errors import InvalidRequest

T = TypeVar("T", bool, int, float, str)
_KEY = "parameter"
_TYPES = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}


@dataclass(frozen=True)
class ParameterInfo:
    """One parameter. ``low`` and ``high`` are valid themselves, ``above`` is not; whole numbers
    may go in steps of ``step``. Without a range and ``choices`` all values of the type are."""

    name: str
    default: Any
    description: str
    low: float | None = None
    high: float | None = None
    above: float | None = None
    step: int = 0
    choices: tuple[str, ...] = ()
    read_only: bool = True
    kind: str = "parameter"  # what messages call it

    @property
    def type(self) -> type:
        """bool, int, float or str."""
        return type(self.default)

    @property
    def valid(self) -> str:
        """The valid values in words; empty when all of the type are."""
        if self.choices:
            return ", ".join(self.choices)
        if self.above is not None:
            return f"above {self.above:g}" + (f", to {self.high:g}" if self.high else "")
        steps = f", in steps of {self.step}" if self.step else ""
        if self.low is not None:
            return (f"{self.low:g} or more" if self.high is None else self._range()) + steps
        return ""

    def _range(self) -> str:
        return f"{self.low:g} to {self.high:g}"

    def coerce(self, value: Any) -> Any:
        """``value`` with the parameter's type (3 is also a float); InvalidRequest otherwise."""
        if self.type is float and type(value) is int:
            return float(value)
        if type(value) is not self.type:
            raise self._refused(value, self.valid if self.choices else _TYPES[self.type])
        return value

    def check(self, value: Any) -> None:
        """InvalidRequest that names the parameter, the value and the valid ones."""
        value = self.coerce(value)
        if self.choices:
            good = value in self.choices
        elif self.type in (int, float):
            good = (
                math.isfinite(value)
                and (self.low is None or value >= self.low)
                and (self.high is None or value <= self.high)
                and (self.above is None or value > self.above)
                and (not self.step or (value - (self.low or 0)) % self.step == 0)
            )
        else:
            good = True
        if not good:
            raise self._refused(value, self.valid or "a finite number")

    def _refused(self, value: Any, valid: str) -> InvalidRequest:
        return InvalidRequest(f"{self.kind} {self.name} is {value!r}; valid: {valid}")


def parameter(
    default: T,
    description: str,
    *,
    low: float | None = None,
    high: float | None = None,
    above: float | None = None,
    step: int = 0,
    choices: Sequence[str] | Callable[[], Sequence[str]] = (),
    read_only: bool = True,
) -> T:
    """A dataclass field; see ``ParameterInfo``. ``choices`` may be a function, which is called
    when they are needed. ``read_only``: read once, so that ``ros2 param set`` is refused."""
    about = {
        "description": description,
        "low": low,
        "high": high,
        "above": above,
        "step": step,
        "choices": choices,
        "read_only": read_only,
    }
    return field(default=default, metadata={_KEY: about})


def describe(cls: type, prefix: str = "", kind: str = "parameter") -> list[ParameterInfo]:
    """The parameters of a dataclass, in its order, their names after ``prefix``."""
    infos = []
    for item in fields(cls):
        if _KEY in item.metadata:
            about = dict(item.metadata[_KEY])
            choices = about["choices"]
            about["choices"] = tuple(choices() if callable(choices) else choices)
            infos.append(ParameterInfo(prefix + item.name, item.default, kind=kind, **about))
    return infos


def check(settings: Any) -> None:
    """InvalidRequest for the first field that is not valid; for ``__post_init__``."""
    for info in describe(type(settings)):
        info.check(getattr(settings, info.name))


def help_text(infos: Sequence[ParameterInfo]) -> str:
    """One entry a parameter: name, description, default and valid values."""
    lines = []
    for info in infos:
        valid = f"; valid: {info.valid}" if info.valid else ""
        text = f"{info.description} (default: {_shown(info.default)}{valid})"
        lines.append(f"  {info.name}")
        lines += textwrap.wrap(text, 96, initial_indent=" " * 6, subsequent_indent=" " * 6)
    return "\n".join(lines)


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value) if value == "" else str(value)
