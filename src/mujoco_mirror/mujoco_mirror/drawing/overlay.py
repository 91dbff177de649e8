"""Numbers about a state, to be written into its picture: a new one is a new line of ``LINES``."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from mujoco_mirror.drawing.renderer import Overlay
from sim_bridge.types import SimState


@dataclass(frozen=True)
class Shown:
    """``lag_s`` of the picture before; ``worst`` link: name, distance [m] and angle [rad]."""

    state: SimState
    lag_s: float = math.nan
    worst: tuple[str, float, float] | None = None


def _lag(shown: Shown) -> str | None:
    return f"{1e3 * shown.lag_s:.0f} ms" if math.isfinite(shown.lag_s) else None


def _error(shown: Shown) -> str | None:
    if shown.worst is None:
        return None
    _, position, angle = shown.worst
    return f"{1e3 * position:.3f} mm {math.degrees(angle):.3f} deg"


# Title of a line and its text; None leaves the line out.
LINES: dict[str, Callable[[Shown], str | None]] = {
    "episode": lambda s: str(s.state.episode),
    "step": lambda s: str(s.state.step),
    "time": lambda s: f"{s.state.time_s:.2f} s",
    "lag": _lag,
    "error": _error,
    "at": lambda s: s.worst[0].rsplit("/", 1)[-1] if s.worst else None,
}


def state_overlay(
    state: SimState, lag_s: float = math.nan, worst: tuple[str, float, float] | None = None
) -> Overlay:
    """All lines that have a text, as ``Shown`` explains the arguments."""
    shown = Shown(state, lag_s, worst)
    texts = {title: text for title, line in LINES.items() if (text := line(shown)) is not None}
    return Overlay(tuple(texts), tuple(texts.values()))
