"""Turns feed and video into messages, once for all viewers, and only while there are any."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass

from mujoco_mirror.monitor.feed import Cursor, MonitorFeed
from mujoco_mirror.monitor.latest import Latest, Watchers
from mujoco_mirror.monitor.video import VideoFeed

_HEARTBEAT_S = 0.5


@dataclass(frozen=True)
class Update:
    """What changed at one tick: ``delta`` for readers of version ``since``, ``full`` for others.

    ``full`` is there only when somebody had asked for it.
    """

    since: int
    delta: str
    full: str | None


class DataBroadcast:
    """Updates of the feed, at most ``rate_hz`` of them."""

    def __init__(self, feed: MonitorFeed, rate_hz: float) -> None:
        self._feed = feed
        self._period_s = 1.0 / rate_hz
        self._cursor = Cursor()
        self._status: dict = {}
        self._full_wanted = False
        self._quiet_s = 0.0
        self.updates: Latest[Update] = Latest()
        self.viewers = Watchers()

    def ask_full(self) -> None:
        """Let the next update carry everything."""
        self._full_wanted = True

    async def run(self) -> None:
        while True:
            await self.viewers.wait()
            self._tick()
            await asyncio.sleep(self._period_s)

    def _tick(self) -> None:
        cursors = [self._cursor, Cursor()] if self._full_wanted else [self._cursor]
        delta, *full = self._feed.changes(*cursors)
        status = {k: v for k, v in delta["status"].items() if k not in ("age_s", "steps_per_s")}
        same = len(delta) == 1 and status == self._status and not full
        self._quiet_s += self._period_s
        if same and self._quiet_s < _HEARTBEAT_S:
            return
        self._quiet_s, self._status, self._full_wanted = 0.0, status, False
        text = _dump(full[0]) if full else None
        self.updates.publish(Update(self.updates.version, _dump(delta), text))


class VideoBroadcast:
    """JPEGs of the newest picture, at most ``rate_hz`` of them."""

    def __init__(self, video: VideoFeed, rate_hz: float) -> None:
        self._video = video
        self._period_s = 1.0 / rate_hz
        self._arrived = asyncio.Event()
        self.frames: Latest[bytes] = Latest()
        self.viewers = Watchers(video.watched)

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        self._video.listen(lambda: _wake(loop, self._arrived))
        self._arrived.set()
        while True:
            await self.viewers.wait()
            await self._arrived.wait()
            self._arrived.clear()
            started = loop.time()
            jpeg = await loop.run_in_executor(None, self._video.take)
            if jpeg is not None:
                self.frames.publish(jpeg)
            await asyncio.sleep(max(0.0, started + self._period_s - loop.time()))


def _wake(loop: asyncio.AbstractEventLoop, event: asyncio.Event) -> None:
    try:
        loop.call_soon_threadsafe(event.set)
    except RuntimeError:
        pass  # the loop is closed: the server went down first


def _dump(changes: dict) -> str:
    return json.dumps(changes, separators=(",", ":"), allow_nan=False)
