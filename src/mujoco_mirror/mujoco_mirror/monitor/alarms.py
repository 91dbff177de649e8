"""What is wrong, in one sentence for people: what, by how much, and why."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from mujoco_mirror.monitor.samples import Health

WARN, BAD = "warn", "bad"
# A picture that is older than this shows another moment.
LATE_S = 0.5
_STALE = 3


@dataclass(frozen=True)
class Alarm:
    """``tone``: ``warn`` or ``bad``."""

    tone: str
    text: str

    def row(self) -> dict[str, Any]:
        return {"tone": self.tone, "text": self.text}


def alarms(
    link: str, age_s: float | None, behind_s: float, health: Iterable[Health]
) -> list[Alarm]:
    """What comes first hides what follows from it. ``link`` as ``MonitorFeed`` has it; ``age_s``
    since the last state; ``behind_s`` as ``PictureLag`` has it.
    """
    found = []
    mirror = next((h for h in health if "pictures_to_draw" in dict(h.values)), None)
    if link == "lost":
        since = f" Last state {age_s:.0f} s ago." if age_s is not None else ""
        found.append(Alarm(BAD, f"Simulator lost: it sends no states and does not answer.{since}"))
    elif behind_s > LATE_S:
        text = f"The picture is {behind_s:.1f} s behind the simulator: {_why(mirror)}."
        found.append(Alarm(BAD, text))
    elif mirror is not None and mirror.level in (1, 2):
        tone = WARN if mirror.level == 1 else BAD
        found.append(Alarm(tone, f"Mirror: {mirror.message}."))
    return found


def _why(mirror: Health | None) -> str:
    if mirror is None:
        return "no mirror reports"
    values = dict(mirror.values)
    if mirror.level == _STALE:
        return "the mirror no longer reports"
    if float(values.get("live_lag_ms_p50", 0.0)) > 1e3 * LATE_S:
        return f"the mirror takes {values.get('draw_ms_p50', '?')} ms for one"
    return "the mirror draws in time, but its pictures arrive late"
