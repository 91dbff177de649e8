"""The latest status of everything that reports to ``/diagnostics``."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from typing import Any

from mujoco_mirror.monitor.samples import Health

STALE = 3
_STATUSES = 32
_VALUES = 32


class HealthBoard:
    """Statuses by name; one that was not repeated for ``stale_after_s`` counts as stale."""

    def __init__(self, stale_after_s: float = 10.0) -> None:
        self._stale_after_s = stale_after_s
        self._entries: OrderedDict[str, tuple[Health, float]] = OrderedDict()
        self.version = 0
        self._stale: set[str] = set()

    def put(self, status: Health, now: float) -> None:
        self._entries[status.name] = (status, now)
        while len(self._entries) > _STATUSES:
            self._entries.popitem(last=False)
        self.version += 1

    def age(self, now: float) -> None:
        """Notice what went stale since the last look."""
        stale = {n for n, (_, at) in self._entries.items() if now - at > self._stale_after_s}
        if stale != self._stale:
            self._stale = stale
            self.version += 1

    def statuses(self) -> list[Health]:
        """With the level that they have by now."""
        return [
            replace(status, level=STALE) if status.name in self._stale else status
            for status, _ in self._entries.values()
        ]

    def rows(self) -> list[dict[str, Any]]:
        """Ready for JSON."""
        return [
            {
                "name": status.name,
                "level": status.level,
                "message": status.message,
                "values": [list(pair) for pair in status.values[:_VALUES]],
            }
            for status in self.statuses()
        ]
