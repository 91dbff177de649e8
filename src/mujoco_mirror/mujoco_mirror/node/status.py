"""The mirror's health in words and numbers, for ``/diagnostics`` and the fidelity topic."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from mujoco_mirror.fidelity.errors import Limits, LinkErrors
from mujoco_mirror.model.map_builder import MapReport
from mujoco_mirror.recording.stream_stats import ArrivalCounter, Percentiles

OK, WARN, ERROR = 0, 1, 2
# A picture that is this much older than the newest state is not live.
LATE_S = 0.5


@dataclass(frozen=True)
class MirrorStatus:
    """``level`` as in ``diagnostic_msgs/DiagnosticStatus``."""

    level: int
    message: str
    values: dict[str, str]


@dataclass(frozen=True)
class MirrorFigures:
    """``problem``: why there is no picture. ``live_lag_s``: from the arrival of a state to its
    picture; ``behind_s``: how long the oldest state that is newer than the picture has waited;
    ``draw_s``: what a picture takes. ``joint_error`` [rad or m]; ``late_errors`` as ``LateJudge``.
    """

    problem: str = ""
    arrivals: ArrivalCounter = field(default_factory=ArrivalCounter)
    live_lag_s: Percentiles = field(default_factory=Percentiles)
    behind_s: float = 0.0
    draw_s: Percentiles = field(default_factory=Percentiles)
    pictures_to_draw: int = 0
    steps_lost: int = 0
    joint_error: float = 0.0
    links: LinkErrors | None = None
    limits: Limits = field(default_factory=Limits)
    map_report: MapReport | None = None
    late_errors: tuple[float, float] | None = None


def mirror_status(figures: MirrorFigures) -> MirrorStatus:
    """What is wrong with the picture, the worst thing first."""
    complaints = [text for check in _CHECKS if (text := check(figures))]
    values = _values(figures)
    if figures.problem:
        return MirrorStatus(ERROR, figures.problem, values)
    if complaints:
        return MirrorStatus(WARN, "; ".join(complaints), values)
    if not figures.arrivals.received:
        return MirrorStatus(OK, "no state yet", values)
    return MirrorStatus(OK, "the picture agrees with the simulator", values)


def _late(f: MirrorFigures) -> str:
    if f.behind_s < LATE_S:
        return ""
    return f"the picture is {f.behind_s:.1f} s behind; one takes {_ms(f.draw_s.last)} ms to draw"


def _lost(f: MirrorFigures) -> str:
    return f"no room for {f.steps_lost} steps of the recording" if f.steps_lost else ""


def _wrong(f: MirrorFigures) -> str:
    worst = f.links.worst(f.limits) if f.links is not None else None
    if worst is None or not (worst[1] > f.limits.position_m or worst[2] > f.limits.angle_rad):
        return ""
    return f"link {_where(*worst)} away from the simulator's"


def _unmapped(f: MirrorFigures) -> str:
    return str(f.map_report) if f.map_report is not None and not f.map_report.complete else ""


_CHECKS = (_late, _lost, _wrong, _unmapped)


def _values(f: MirrorFigures) -> dict[str, str]:
    values = {
        "received": str(f.arrivals.received),
        "dropped": str(f.arrivals.dropped),
        "out_of_order": str(f.arrivals.out_of_order),
        "joint_error_rad": f"{f.joint_error:.3g}",
        "pictures_to_draw": str(f.pictures_to_draw),
    }
    if f.draw_s.count:
        values["draw_ms_p50"] = _ms(*f.draw_s.at(50))
    if f.live_lag_s.count:
        p50, p99 = f.live_lag_s.at(50, 99)
        values |= {"live_lag_ms_p50": _ms(p50), "live_lag_ms_p99": _ms(p99)}
    if f.late_errors is not None:
        shown, held = f.late_errors
        values |= {"shown_error_rms": f"{shown:.3g}", "hold_error_rms": f"{held:.3g}"}
    worst = f.links.worst(f.limits) if f.links is not None else None
    if worst is not None:
        values["worst_link"] = _where(*worst)
        values["link_position_error_m"] = f"{worst[1]:.3g}"
        values["link_angle_error_rad"] = f"{worst[2]:.3g}"
        values["links_agree"] = "no" if _wrong(f) else "yes"
    if f.map_report is not None and not f.map_report.complete:
        values["not_in_model"] = ", ".join(f.map_report.unmapped_wire)
        values["not_in_state"] = ", ".join(f.map_report.unmapped_model)
    return values


def _where(name: str, position_m: float, angle_rad: float) -> str:
    return f"{name}: {1e3 * position_m:.3g} mm, {np.degrees(angle_rad):.3g} deg"


def _ms(seconds: float) -> str:
    return f"{1e3 * seconds:.1f}"
