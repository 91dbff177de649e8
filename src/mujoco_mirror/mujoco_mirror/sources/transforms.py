"""tf messages to link poses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from sim_bridge.ros.convert import from_time
from sim_bridge.types import LinkPoses


def link_poses(transforms: Sequence[Any], frame: str) -> list[tuple[float, LinkPoses]]:
    """Per time stamp [s], the poses of all frames whose parent is ``frame``."""
    by_time: dict[float, tuple[list[str], list[list[float]]]] = {}
    for stamped, (parent, child, pose) in zip(transforms, frames(transforms), strict=True):
        if parent == frame:
            names, poses = by_time.setdefault(from_time(stamped.header.stamp), ([], []))
            names.append(child)
            poses.append(pose)
    return [
        (time_s, LinkPoses(tuple(names), np.array(poses)))
        for time_s, (names, poses) in by_time.items()
    ]


def frames(transforms: Iterable[Any]) -> Iterator[tuple[str, str, list[float]]]:
    """Parent, child and pose [x y z qx qy qz qw] of each transform."""
    for stamped in transforms:
        p, q = stamped.transform.translation, stamped.transform.rotation
        yield stamped.header.frame_id, stamped.child_frame_id, [p.x, p.y, p.z, q.x, q.y, q.z, q.w]
