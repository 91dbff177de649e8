"""The plots of the page: a new one is a new entry of ``CHARTS``.

The feed keeps one series for each entry and sends its description along; the page builds whatever
it is told to. So neither can know a plot that the other does not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from mujoco_mirror.monitor.episodes import Episode
from mujoco_mirror.monitor.samples import ChunkSample, StepSample
from sim_bridge.types import SimSpec, SimState


@dataclass(frozen=True)
class Layout:
    """What names the lines of a plot; both are None until they have arrived."""

    spec: SimSpec | None = None
    state: SimState | None = None

    def joints(self) -> list[str]:
        """Short names; metres are marked where the plot also has radians."""
        units = self._units()
        names = short_names(self.state.joint_names if self.state else ())
        mixed = len(set(units)) > 1
        return [f"{n} [m]" if mixed and u == "m" else n for n, u in zip(names, units, strict=True)]

    def joint_unit(self) -> str:
        return ", ".join(dict.fromkeys(self._units()))

    def actions(self) -> list[str]:
        return list(self.spec.action.names) if self.spec else []

    def control_mode(self) -> str:
        return self.spec.action.control_mode.replace("_", " ") if self.spec else ""

    def _units(self) -> list[str]:
        revolute = {j.name: j.revolute for j in self.spec.joints} if self.spec else {}
        names = self.state.joint_names if self.state else ()
        return ["rad" if revolute.get(name, True) else "m" for name in names]


@dataclass(frozen=True)
class Chart:
    """``row(sample, episode)`` makes the numbers of one row from each sample of type ``of``.

    ``points`` marks each row, for events that are rare. ``durations`` starts the axis at zero.
    ``right`` names the line that may have an axis of its own. ``empty`` is what the plot says
    before its first row. ``labels`` and ``unit`` are texts, or come from the layout.
    """

    name: str
    title: str
    of: type
    row: Callable[[Any, Episode], Sequence[float]]
    empty: str
    labels: tuple[str, ...] | Callable[[Layout], list[str]] = ()
    unit: str | Callable[[Layout], str] = ""
    height: int = 150
    wide: bool = False
    points: bool = False
    durations: bool = False
    right: str = ""

    def describe(self, layout: Layout) -> dict[str, Any]:
        """For the page, ready for JSON."""
        return {
            "name": self.name,
            "title": self.title,
            "empty": self.empty,
            "labels": self.labels(layout) if callable(self.labels) else list(self.labels),
            "unit": self.unit(layout) if callable(self.unit) else self.unit,
            "height": self.height,
            "wide": self.wide,
            "points": self.points,
            "durations": self.durations,
            "right": self.right,
        }


def short_names(names: Sequence[str]) -> list[str]:
    """``arm/elbow`` becomes ``elbow``, unless that makes two alike."""
    short = [name.rsplit("/", 1)[-1] for name in names]
    return short if len(set(short)) == len(short) else list(names)


CHARTS = (
    Chart(
        "state", "Joint positions", SimState, lambda s, e: s.joint_positions,
        "No states yet: start a rollout or press Reset",
        Layout.joints, Layout.joint_unit, height=190, wide=True,
    ),
    Chart(
        "action", "Action", StepSample, lambda s, e: s.action, "No actions yet: start a rollout",
        Layout.actions, Layout.control_mode, height=170, wide=True,
    ),
    Chart(
        "reward", "Reward", StepSample, lambda s, e: (s.reward, e.total_reward),
        "No rewards yet: start a rollout",
        ("reward", "return"), right="return",
    ),
    Chart(
        "chunk", "Action chunks", ChunkSample, lambda s, e: (1e3 * s.inference_s, 1e3 * s.queue_s),
        "No policy is reporting: start a policy node",
        ("inference", "queued"), "ms", points=True, durations=True,
    ),
    Chart(
        "time", "Simulator step", StepSample, lambda s, e: (1e3 * s.wall_time_s,),
        "No steps yet: start a rollout",
        ("wall time",), "ms", height=110, wide=True, durations=True,
    ),
)  # fmt: skip
