"""Numbers about a state, to be written into its picture."""

from __future__ import annotations

import math

from mujoco_mirror.drawing.renderer import Overlay
from sim_bridge.types import SimState


def state_overlay(
    state: SimState, lag_s: float = math.nan, worst: tuple[str, float, float] | None = None
) -> Overlay:
    """``lag_s`` of the picture before; ``worst`` link: name, distance [m] and angle [rad]."""
    lines = {
        "episode": str(state.episode),
        "step": str(state.step),
        "time": f"{state.time_s:.2f} s",
    }
    if math.isfinite(lag_s):
        lines["lag"] = f"{1e3 * lag_s:.0f} ms"
    if worst is not None:
        name, position, angle = worst
        lines["error"] = f"{1e3 * position:.3f} mm {math.degrees(angle):.3f} deg"
        lines["at"] = name.rsplit("/", 1)[-1]
    return Overlay(tuple(lines), tuple(lines.values()))
