"""How far the mirror's own kinematics are from the simulator's link poses.

Joint positions can agree to the last bit while the picture is wrong: a swapped pair of joints, a
wrong sign, a quaternion in the other order, another version of the model. The poses that the
simulator publishes on tf tell.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import mujoco
import numpy as np

from mujoco_mirror.model.map_builder import MapReport
from mujoco_mirror.model.map_rules import MapRules
from mujoco_mirror.model.mirror import Mirror
from mujoco_mirror.model.rotations import angle_between
from sim_bridge.errors import InvalidRequest
from sim_bridge.types import LinkPoses, SimState

_PENDING = 64
_NANOSECONDS = 1_000_000_000
# A state and its link poses leave the simulator one after the other. What left at another moment
# is of another episode, though simulation time be the same.
_TOGETHER_NS = 20_000_000

_Pending = OrderedDict[int, tuple[Any, int]]


@dataclass(frozen=True)
class Limits:
    """Largest link error that counts as faithful."""

    position_m: float = 1e-3
    angle_rad: float = np.radians(0.1)


@dataclass(frozen=True)
class LinkErrors:
    """Per link: distance [m] and angle [rad] between simulator and mirror at one state."""

    names: tuple[str, ...]
    position_m: np.ndarray
    angle_rad: np.ndarray

    def worst(self, limits: Limits) -> tuple[str, float, float] | None:
        """Name, distance and angle of the link that is worst relative to the limits."""
        if not self.names:
            return None
        relative = np.maximum(
            self.position_m / limits.position_m, self.angle_rad / limits.angle_rad
        )
        index = int(np.argmax(relative))
        return self.names[index], float(self.position_m[index]), float(self.angle_rad[index])


def compare(mirror: Mirror, simulator: LinkPoses) -> LinkErrors:
    """Errors of all links that both know, at the state that ``mirror`` has now."""
    own = mirror.link_poses(simulator.names)
    rows = [simulator.names.index(name) for name in own.names]
    theirs = simulator.poses[rows]
    return LinkErrors(
        own.names,
        np.linalg.norm(own.poses[:, :3] - theirs[:, :3], axis=1),
        angle_between(own.poses[:, 3:], theirs[:, 3:]),
    )


class ErrorTable:
    """Largest and mean error of each link over many states."""

    def __init__(self) -> None:
        self._rows: dict[str, np.ndarray] = {}  # max m, max rad, sum m, sum rad, count

    def add(self, errors: LinkErrors) -> None:
        for name, position, angle in zip(
            errors.names, errors.position_m, errors.angle_rad, strict=True
        ):
            row = self._rows.setdefault(name, np.zeros(5))
            row[:2] = np.maximum(row[:2], (position, angle))
            row[2:] += (position, angle, 1)

    def rows(self) -> list[tuple[str, float, float, float, float]]:
        """Name, max and mean distance [m], max and mean angle [rad]."""
        return [(name, r[0], r[2] / r[4], r[1], r[3] / r[4]) for name, r in self._rows.items()]

    def largest(self) -> tuple[float, float]:
        """Largest distance [m] and largest angle [rad] of any link."""
        if not self._rows:
            return 0.0, 0.0
        position, angle = np.max([r[:2] for r in self._rows.values()], axis=0)
        return float(position), float(angle)

    def within(self, limits: Limits) -> bool:
        """False also when no link was compared: nothing was proven then."""
        position, angle = self.largest()
        return bool(self._rows) and position <= limits.position_m and angle <= limits.angle_rad

    def __str__(self) -> str:
        lines = [f"{'link':<28}{'max mm':>11}{'mean mm':>11}{'max deg':>11}{'mean deg':>11}"]
        for name, *si in self.rows():
            values = np.array(si) * [1e3, 1e3, 180 / np.pi, 180 / np.pi]
            lines.append(f"{name:<28}" + "".join(f"{v:>11.2e}" for v in values))
        return "\n".join(lines)


class FidelityMonitor:
    """Pairs states with link poses of the same simulation time, in whichever order they come.
    ``published_ns`` is when each left the simulator, by its clock.

    Has a mirror of its own, of the undressed model, so that checking never disturbs a picture.
    """

    def __init__(
        self, model: mujoco.MjModel, rules: MapRules | None = None, limits: Limits | None = None
    ) -> None:
        self.limits = limits or Limits()
        self.latest: LinkErrors | None = None
        self._mirror = Mirror(model, rules, quiet=True)
        self._states: _Pending = OrderedDict()
        self._links: _Pending = OrderedDict()

    @property
    def map_report(self) -> MapReport | None:
        """What of the states is not in the model and the other way; None before the first one."""
        return self._mirror.map.report if self._mirror.map is not None else None

    def on_state(self, state: SimState, published_ns: int = 0) -> LinkErrors | None:
        """The errors when the links of this state are known already."""
        self._mirror.fit(state)
        links = self._partner(state.time_s, state, published_ns, self._states, self._links)
        return None if links is None else self._compare(state, links)

    def on_links(self, time_s: float, links: LinkPoses, published_ns: int = 0) -> LinkErrors | None:
        """The errors when the state of these links is known already."""
        state = self._partner(time_s, links, published_ns, self._links, self._states)
        return None if state is None else self._compare(state, links)

    def forget(self) -> None:
        """Simulation time starts again from zero."""
        self._states.clear()
        self._links.clear()

    def _partner(
        self, time_s: float, item: Any, published_ns: int, mine: _Pending, other: _Pending
    ) -> Any:
        """Of the same step, from ``other``; without one ``item`` waits in ``mine``."""
        stamp = round(time_s * _NANOSECONDS)
        found, left_ns = other.pop(stamp, (None, 0))
        if found is not None and abs(published_ns - left_ns) <= _TOGETHER_NS:
            return found
        mine[stamp] = (item, published_ns)
        while len(mine) > _PENDING:
            mine.popitem(last=False)
        return None

    def _compare(self, state: SimState, links: LinkPoses) -> LinkErrors:
        self._mirror.apply(state)
        self.latest = compare(self._mirror, links)
        return self.latest


def check_episode(
    mirror: Mirror, samples: Iterable[tuple[SimState, LinkPoses]]
) -> tuple[ErrorTable, float]:
    """Link errors and the largest joint error over an episode.

    InvalidRequest when the mirror knows none of the links.
    """
    table, joint_error = ErrorTable(), 0.0
    for state, links in samples:
        mirror.apply(state)
        joint_error = max(joint_error, mirror.joint_error(state))
        errors = compare(mirror, links)
        if not errors.names:
            raise InvalidRequest(
                f"none of the links {', '.join(links.names)} is in the mirror's model"
            )
        table.add(errors)
    return table, joint_error
