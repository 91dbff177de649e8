"""tf messages to link poses."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from sim_bridge.conversions import from_time
from sim_bridge.types import LinkPoses


def link_poses(transforms: Iterable[Any], frame: str) -> list[tuple[float, LinkPoses]]:
    """Per time stamp [s], the poses of all frames whose parent is ``frame``."""
    by_time: dict[float, tuple[list[str], list[list[float]]]] = {}
    for stamped in transforms:
        if stamped.header.frame_id == frame:
            names, poses = by_time.setdefault(from_time(stamped.header.stamp), ([], []))
            p, q = stamped.transform.translation, stamped.transform.rotation
            names.append(stamped.child_frame_id)
            poses.append([p.x, p.y, p.z, q.x, q.y, q.z, q.w])
    return [
        (time_s, LinkPoses(tuple(names), np.array(poses)))
        for time_s, (names, poses) in by_time.items()
    ]
