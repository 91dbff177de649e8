"""What the monitor is fed with, besides the bridge's own state and spec."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class StepSample:
    """One executed control step; ``action (A,)``; see ``StepInfo.msg``."""

    episode: int
    step: int
    action: np.ndarray
    reward: float
    terminated: bool = False
    truncated: bool = False
    success: bool = False
    wall_time_s: float = 0.0


@dataclass(frozen=True)
class ChunkSample:
    """One inference: of which observation, how long it ran and queued, and by which policy."""

    episode: int
    step: int
    inference_s: float
    queue_s: float = 0.0
    policy: str = ""


@dataclass(frozen=True)
class Health:
    """One status of ``/diagnostics``; ``level`` is 0 ok, 1 warning, 2 error, 3 stale."""

    name: str
    level: int
    message: str
    values: tuple[tuple[str, str], ...] = ()
