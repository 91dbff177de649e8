"""A state on its way to a picture."""

from __future__ import annotations

from dataclasses import dataclass

from mujoco_mirror.drawing.renderer import Overlay
from sim_bridge.types import SimState


@dataclass(frozen=True)
class Shot:
    """``published_ns`` is wall-clock time, ``arrived_s`` of ``time.monotonic``; ``overlay`` says
    what was known when the state arrived."""

    state: SimState
    published_ns: int
    arrived_s: float
    overlay: Overlay | None = None
