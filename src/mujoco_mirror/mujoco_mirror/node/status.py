"""The mirror's health in words and numbers, for ``/diagnostics`` and the fidelity topic."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mujoco_mirror.fidelity.errors import Limits, LinkErrors
from mujoco_mirror.model.map_builder import MapReport
from mujoco_mirror.recording.stream_stats import ArrivalCounter, Percentiles

OK, WARN, ERROR = 0, 1, 2


@dataclass(frozen=True)
class MirrorStatus:
    """``level`` as in ``diagnostic_msgs/DiagnosticStatus``."""

    level: int
    message: str
    values: dict[str, str]


def mirror_status(
    problem: str,
    arrivals: ArrivalCounter,
    lag_s: Percentiles,
    joint_error: float,
    links: LinkErrors | None,
    limits: Limits,
    report: MapReport | None,
    late_errors: tuple[float, float] | None = None,
) -> MirrorStatus:
    """What is wrong with the picture, the worst thing first. ``late_errors``: as ``LateJudge``."""
    values = {
        "received": str(arrivals.received),
        "dropped": str(arrivals.dropped),
        "out_of_order": str(arrivals.out_of_order),
        "joint_error_rad": f"{joint_error:.3g}",
    }
    if lag_s.count:
        p50, p99 = lag_s.at(50, 99)
        values |= {"lag_ms_p50": f"{1e3 * p50:.1f}", "lag_ms_p99": f"{1e3 * p99:.1f}"}
    if late_errors is not None:
        shown, held = late_errors
        values |= {"shown_error_rms": f"{shown:.3g}", "hold_error_rms": f"{held:.3g}"}
    complaints = []
    worst = links.worst(limits) if links is not None else None
    if worst is not None:
        name, position, angle = worst
        where = f"{name}: {1e3 * position:.3g} mm, {np.degrees(angle):.3g} deg"
        values["worst_link"] = where
        values["link_position_error_m"] = f"{position:.3g}"
        values["link_angle_error_rad"] = f"{angle:.3g}"
        if position > limits.position_m or angle > limits.angle_rad:
            complaints.append(f"link {where} away from the simulator's")
    if report is not None and not report.complete:
        values |= {
            "not_in_model": ", ".join(report.unmapped_wire),
            "not_in_state": ", ".join(report.unmapped_model),
        }
        complaints.append(str(report))
    if problem:
        return MirrorStatus(ERROR, problem, values)
    if complaints:
        return MirrorStatus(WARN, "; ".join(complaints), values)
    if not arrivals.received:
        return MirrorStatus(OK, "no state yet", values)
    return MirrorStatus(OK, "the picture agrees with the simulator", values)
