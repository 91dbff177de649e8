"""Figures of chunk execution over one episode."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class ExecutionReport:
    """Times in seconds; jumps are Euclidean distances between successive actions.

    A *stall* is a wait for the policy with no action left to execute; the first inference of
    an episode is none. A *seam* is where the executed actions go over from one chunk to the
    next (every step may be one); ``inner_jump_mean`` is the same measure away from seams.
    """

    actions: int = 0
    inferences: int = 0
    inference_mean_s: float = 0.0
    inference_p50_s: float = 0.0
    inference_p99_s: float = 0.0
    queue_depth_mean: float = 0.0
    queue_depth_min: int = 0
    stalls: int = 0
    stalled_s: float = 0.0
    late_actions: int = 0
    seams: int = 0
    seam_jump_mean: float = 0.0
    seam_jump_max: float = 0.0
    inner_jump_mean: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


class Recorder:
    """Collects what an ``ExecutionReport`` sums up."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self._inference_s: list[float] = []
        self._depths: list[int] = []
        self._stalls_s: list[float] = []
        self._seam_jumps: list[float] = []
        self._inner_jumps: list[float] = []
        self._late = 0
        self._actions = 0
        self._last: tuple[np.ndarray, int] | None = None

    @property
    def inferences(self) -> int:
        return len(self._inference_s)

    def inference(self, seconds: float) -> None:
        self._inference_s.append(seconds)

    def stall(self, seconds: float) -> None:
        self._stalls_s.append(seconds)

    def late(self, actions: int) -> None:
        """Actions of a chunk whose step had passed before the chunk arrived."""
        self._late += actions

    def executed(self, actions: np.ndarray, plan: int, depth: int) -> None:
        """Rows ``(n, A)`` handed out from the plan numbered ``plan``, ``depth`` left after them."""
        self._depths.append(depth)
        self._actions += len(actions)
        for row in actions:
            if self._last is not None:
                previous, previous_plan = self._last
                jumps = self._inner_jumps if previous_plan == plan else self._seam_jumps
                jumps.append(float(np.linalg.norm(row - previous)))
            self._last = (np.array(row), plan)

    def report(self) -> ExecutionReport:
        return ExecutionReport(
            actions=self._actions,
            inferences=len(self._inference_s),
            inference_mean_s=_mean(self._inference_s),
            inference_p50_s=_percentile(self._inference_s, 50),
            inference_p99_s=_percentile(self._inference_s, 99),
            queue_depth_mean=_mean(self._depths),
            queue_depth_min=min(self._depths, default=0),
            stalls=len(self._stalls_s),
            stalled_s=float(sum(self._stalls_s)),
            late_actions=self._late,
            seams=len(self._seam_jumps),
            seam_jump_mean=_mean(self._seam_jumps),
            seam_jump_max=max(self._seam_jumps, default=0.0),
            inner_jump_mean=_mean(self._inner_jumps),
        )


def _mean(values: list) -> float:
    return float(np.mean(values)) if values else 0.0


def _percentile(values: list[float], q: float) -> float:
    return float(np.percentile(values, q)) if values else 0.0
