"""What of an Isaac Sim scene is plain logic: who is who on a stage, names, quaternions, rates.

Isaac Sim's quaternions are wxyz and its rigid body velocities are those of the centre of mass;
here is the one place where both meet the wire. Nothing of Isaac is imported.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from sim_bridge.errors import InvalidRequest

_TO_XYZW = [1, 2, 3, 0]
_TO_WXYZ = [3, 0, 1, 2]


@dataclass(frozen=True)
class Entity:
    """A robot (``links`` of one articulation) or a free body (one link, no ``root``)."""

    name: str
    links: tuple[str, ...]
    root: str = ""


@dataclass(frozen=True)
class StageBodies:
    """Prim paths of a stage: rigid ``bodies``, ``joints`` as pairs of bodies ("" is the world),
    and the prims that carry the articulation root API."""

    bodies: tuple[str, ...]
    joints: tuple[tuple[str, str], ...] = ()
    roots: tuple[str, ...] = ()


def xyzw(wxyz: np.ndarray) -> np.ndarray:
    """Quaternions ``(..., 4)`` from Isaac Sim's order to the wire's."""
    return np.asarray(wxyz, dtype=float)[..., _TO_XYZW]


def wxyz(xyzw: np.ndarray) -> np.ndarray:
    """Quaternions ``(..., 4)`` from the wire's order to Isaac Sim's."""
    return np.asarray(xyzw, dtype=float)[..., _TO_WXYZ]


def rotate(quaternion: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """``vector (3,)`` turned by an xyzw quaternion."""
    axis, w = quaternion[:3], quaternion[3]
    return vector + 2 * np.cross(axis, np.cross(axis, vector) + w * vector)


def origin_twist(pose: np.ndarray, com: np.ndarray, com_twist: np.ndarray) -> np.ndarray:
    """Twist ``(6,)`` of the body's origin from that of its centre of mass.

    ``pose (7,)`` xyzw, ``com (3,)`` the centre of mass in the body's frame.
    """
    arm = rotate(pose[3:], com)
    return np.concatenate([com_twist[:3] - np.cross(com_twist[3:], arm), com_twist[3:]])


def com_twist(pose: np.ndarray, com: np.ndarray, twist: np.ndarray) -> np.ndarray:
    """The inverse of ``origin_twist``."""
    arm = rotate(pose[3:], com)
    return np.concatenate([twist[:3] + np.cross(twist[3:], arm), twist[3:]])


def find_entities(stage: StageBodies, names: Mapping[str, str]) -> tuple[Entity, ...]:
    """Robots first, then free bodies, each in stage order.

    Bodies that joints connect belong together; with an articulation root they are a robot, named
    after its topmost link. Bodies jointed to the world without a root do not move freely and are
    left out. ``names`` maps a link's name to an entity name. InvalidRequest for a name used twice.
    """
    groups = _connected(stage.bodies, stage.joints)
    fixed = {body for pair in stage.joints if "" in pair for body in pair if body}
    robots, bodies = [], []
    for group in groups:
        root = next((r for r in stage.roots if _touches(r, group)), "")
        top = min(group, key=lambda path: path.count("/"))
        leaf = top.rsplit("/", 1)[-1]
        name = names.get(leaf, leaf)
        if root:
            robots.append(Entity(name, group, root))
        elif not fixed.intersection(group):
            bodies += [_free(path, names) for path in group]
    entities = (*robots, *bodies)
    seen: set[str] = set()
    for entity in entities:
        if entity.name in seen:
            raise InvalidRequest(
                f"two entities are named {entity.name!r} ({entity.links[0]} is one); "
                'name them with the task option entities, e.g. {"base": "left_arm"}'
            )
        seen.add(entity.name)
    return entities


def decimation(control_period_s: float, physics_step_s: float) -> int:
    """Physics steps in one control step; InvalidRequest unless it is a whole number."""
    count = round(control_period_s / physics_step_s) if physics_step_s > 0 else 0
    if count < 1 or abs(count * physics_step_s - control_period_s) > 1e-9:
        raise InvalidRequest(
            f"control_period_s is {control_period_s:g}; valid: a multiple of physics_step_s, "
            f"{physics_step_s:g}"
        )
    return count


@dataclass
class CameraClock:
    """Decides when a camera must draw: its own rate, and only for someone who asks.

    Without a rate it draws for every asked-for state; a state that was written, or a time that
    went back, always asks for a new picture.
    """

    rate_hz: float = 0.0
    _drawn_at_s: float | None = field(default=None, repr=False)

    def due(self, time_s: float) -> bool:
        last = self._drawn_at_s
        if last is None or time_s < last:
            return True
        period = 1.0 / self.rate_hz if self.rate_hz > 0 else 0.0
        return time_s - last >= period - 1e-9 and time_s > last

    def drawn(self, time_s: float) -> None:
        self._drawn_at_s = time_s

    def invalidate(self) -> None:
        self._drawn_at_s = None


def _connected(bodies: Sequence[str], joints: Iterable[tuple[str, str]]) -> list[tuple[str, ...]]:
    group_of = {body: {body} for body in bodies}
    for first, second in joints:
        if first in group_of and second in group_of and group_of[first] is not group_of[second]:
            group_of[first] |= group_of[second]
            for body in group_of[second]:
                group_of[body] = group_of[first]
    groups = []
    for body in bodies:
        group = tuple(other for other in bodies if other in group_of[body])
        if group not in groups:
            groups.append(group)
    return groups


def _touches(root: str, group: Sequence[str]) -> bool:
    """A root may sit on a link, on the joint below a link that fixes it, or above all links."""
    return any(
        body == root or body.startswith(f"{root}/") or root.rsplit("/", 1)[0] == body
        for body in group
    )


def _free(path: str, names: Mapping[str, str]) -> Entity:
    leaf = path.rsplit("/", 1)[-1]
    return Entity(names.get(leaf, leaf), (path,))
