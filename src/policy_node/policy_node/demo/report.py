"""What the demo tells: progress while it runs, a summary for programs, a table for people."""

from __future__ import annotations

import contextlib
import os
import platform
from dataclasses import dataclass, field
from importlib import metadata
from typing import Any

from policy_node.rollout.episodes import episode_line
from sim_bridge.progress import Stage
from sim_bridge.types import EpisodeResult, SimSpec


@dataclass(frozen=True)
class DemoOutcome:
    """``mirror`` is its own summary, empty without one; ``message`` says why it failed."""

    spec: SimSpec
    policy: str
    episodes: tuple[EpisodeResult, ...]
    policy_description: str = ""
    message: str = ""
    mirror: dict[str, Any] = field(default_factory=dict)
    pids: dict[str, int | None] = field(default_factory=dict)
    files: tuple[str, ...] = ()

    @property
    def success(self) -> bool:
        return bool(self.episodes) and not self.message and all(e.success for e in self.episodes)


def summary(outcome: DemoOutcome) -> dict[str, Any]:
    """JSON for ``summary.json``; times are means per control step in milliseconds."""
    spec, episodes = outcome.spec, outcome.episodes
    steps = sum(e.steps for e in episodes)
    wall, sim, inference = (
        sum(getattr(e, name) for e in episodes)
        for name in ("wall_time_s", "sim_wall_time_s", "inference_time_s")
    )
    per_step_ms = 1e3 / steps if steps else 0.0
    return {
        "task": spec.task,
        "simulator": spec.simulator,
        "policy": outcome.policy,
        "policy_description": outcome.policy_description,
        "seed": episodes[0].seed if episodes else None,
        "steps": steps,
        "success": outcome.success,
        "message": outcome.message,
        "episodes": [episode_line(i, e) for i, e in enumerate(episodes)],
        "timings": {
            "sim_ms_per_step": round(sim * per_step_ms, 3),
            "inference_ms_per_step": round(inference * per_step_ms, 3),
            "step_ms": round((wall - inference) * per_step_ms, 3),
            "wall_s": round(wall, 3),
            "steps_per_s": round(steps / wall, 2) if wall else 0.0,
            "lag_ms": outcome.mirror.get("lag_ms"),
        },
        "mirror": outcome.mirror,
        "pids": outcome.pids,
        "files": list(outcome.files),
        "versions": {
            "twinstep": _version("policy_node"),
            "simulator": spec.simulator_version,
            "ros": os.environ.get("ROS_DISTRO", ""),
            "python": platform.python_version(),
        },
    }


def table(summary: dict[str, Any], folder: str) -> list[str]:
    """A few aligned lines."""
    timings, mirror = summary["timings"], summary["mirror"]
    rows = [
        (
            "task",
            f"{summary['task']} in {summary['simulator']} ({summary['versions']['simulator']})",
        ),
        ("policy", ": ".join(filter(None, (summary["policy"], summary["policy_description"])))),
        *(
            (
                f"seed {e['seed']}",
                f"{'success' if e['success'] else 'failure'} in {e['steps']} steps",
            )
            for e in summary["episodes"]
        ),
    ]
    if summary["episodes"]:
        per_step = (
            f"simulator {timings['sim_ms_per_step']:.1f} ms, "
            f"step call {timings['step_ms']:.1f} ms, "
            f"policy {timings['inference_ms_per_step']:.1f} ms, "
            f"{timings['steps_per_s']:.1f} steps/s"
        )
        rows.append(("per step", per_step))
    if mirror:
        rows.append(("mirror", _mirror_text(mirror)))
    if summary["message"]:
        rows.append(("failed", summary["message"]))
    rows.append(("files", folder))
    return [f"  {name:<9} {value}" for name, value in rows]


def _mirror_text(mirror: dict[str, Any]) -> str:
    """Figures are None where the mirror had nothing to measure: no frame, no joint of a name."""
    error, live = mirror["joint_error_max_rad"], mirror.get("live_lag_ms", {})
    parts = [f"{mirror['frames']} frames"]
    if error is not None:
        parts.append(f"joint error {error:.1e} rad")
    if live.get("p50") is not None:
        parts.append(f"live picture {live['p50']:.0f} ms behind (median; p99 {live['p99']:.0f} ms)")
    return ", ".join(parts)


class EpisodeStages(contextlib.AbstractContextManager):
    """Shows each episode as a stage of its own."""

    def __init__(self, episodes: int, max_steps: int) -> None:
        self._episodes, self._max_steps = episodes, max_steps
        self._episode = -1
        self._stages = contextlib.ExitStack()

    def show(self, episode: int, step: int) -> None:
        """``step`` control steps were taken in ``episode`` (from 0)."""
        if episode != self._episode:
            self._stages.close()
            name = f"episode {episode + 1}/{self._episodes}"
            self._stage = Stage(name, "step", self._max_steps, keep=False)
            self._stages.enter_context(self._stage)
            self._episode = episode
        self._stage.reach(step)

    def __exit__(self, *_: object) -> None:
        self._stages.close()


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "unknown"
