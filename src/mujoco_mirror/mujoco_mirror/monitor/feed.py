"""What the monitor knows: fed from any thread, read incrementally by the server (no ROS)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from mujoco_mirror.monitor.alarms import alarms
from mujoco_mirror.monitor.charts import CHARTS, Chart, Layout
from mujoco_mirror.monitor.episodes import EpisodeLog
from mujoco_mirror.monitor.health import HealthBoard
from mujoco_mirror.monitor.picture_lag import PictureLag
from mujoco_mirror.monitor.samples import ChunkSample, Health, StepSample
from mujoco_mirror.monitor.series import Rate, Series, plain
from sim_bridge.types import SimSpec, SimState

_ROWS = 4000
_EPISODES = 50
_NEVER = float("-inf")

Sample = SimState | StepSample | ChunkSample


@dataclass
class Cursor:
    """How much of a feed one reader has seen."""

    sections: dict[str, int] = field(default_factory=dict)
    series: dict[str, int] = field(default_factory=dict)


class MonitorFeed:
    """Latest values and bounded histories of one simulator. All methods are thread-safe.

    The simulator counts as live while states arrive, as idle while it only answers
    (``on_alive``), and as lost after ``lost_after_s`` without either. Histories hold the
    running episode, by control step.
    """

    def __init__(
        self,
        lost_after_s: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
        charts: tuple[Chart, ...] = CHARTS,
    ) -> None:
        self._lost_after_s = lost_after_s
        self._clock = clock
        self._lock = threading.Lock()
        self._versions = {"spec": 0, "charts": 0, "episodes": 0}
        self._health = HealthBoard()
        self._charts = charts
        self._series = {chart.name: Series(_ROWS) for chart in charts}
        self._start_over()

    def _start_over(self) -> None:
        self._spec: SimSpec | None = None
        self._state: SimState | None = None
        self._step: StepSample | None = None
        self._policy = ""
        self._current = -1
        self._last_state = self._last_life = _NEVER
        self._received = self._dropped = self._disordered = 0
        self._rate = Rate()
        self._picture_lag = PictureLag()
        self._episodes = EpisodeLog(_EPISODES)
        self._clear_series()
        self._touch("spec", "charts", "episodes")

    def _clear_series(self) -> None:
        for series in self._series.values():
            series.clear()

    def _touch(self, *sections: str) -> None:
        for section in sections:
            self._versions[section] += 1

    # Written by the adapter.

    def on_spec(self, spec: SimSpec) -> None:
        """A bridge introduced itself; another bridge than before starts from nothing."""
        with self._lock:
            if self._spec is not None and self._spec.bridge_id != spec.bridge_id:
                self._start_over()
            self._spec = spec
            self._last_life = self._clock()
            self._touch("spec", "charts")

    def on_alive(self) -> None:
        """The simulator's process answered, though it may not be stepping."""
        with self._lock:
            self._last_life = self._clock()

    def on_state(self, state: SimState) -> None:
        with self._lock:
            now = self._clock()
            last, self._state = self._state, state
            if state.episode != self._current:
                self._enter(state.episode)
            if last is not None and state.episode == last.episode:
                self._count(state.step - last.step)
            if last is None or state.joint_names != last.joint_names:
                for chart in self._plotting(state):
                    self._series[chart.name].clear()
                self._touch("charts")
            self._received += 1
            self._rate.add(now)
            self._last_state = self._last_life = now
            self._picture_lag.on_state(state.time_s, now)
            # A written state (SetState) keeps its step, but is a new row all the same.
            self._plot(state, lambda last_x: max(state.step, last_x + 1))

    def _plotting(self, sample: Sample) -> list[Chart]:
        return [chart for chart in self._charts if isinstance(sample, chart.of)]

    def _plot(self, sample: Sample, place: Callable[[float], float | None]) -> None:
        """``place`` gives the x of the new row from that of the last one; None leaves it out."""
        for chart in self._plotting(sample):
            series = self._series[chart.name]
            x = place(series.last_x)
            if x is not None:
                series.append(x, chart.row(sample, self._episodes.get(sample.episode)))

    def _enter(self, episode: int) -> None:
        self._current = episode
        self._clear_series()
        self._episodes.get(episode)
        self._touch("episodes")

    def _catch_up(self, episode: int) -> None:
        """Topics overtake each other: the first word of an episode need not be its state."""
        if episode > self._current:
            self._enter(episode)

    def _count(self, advance: int) -> None:
        if advance < 0:
            self._disordered += 1
        self._dropped += max(0, advance - 1)

    def on_step(self, sample: StepSample) -> None:
        with self._lock:
            self._catch_up(sample.episode)
            episode = self._episodes.get(sample.episode)
            episode.add(sample)
            self._touch("episodes")
            self._step = sample
            if sample.episode == self._current:
                self._plot(sample, lambda last_x: sample.step if sample.step > last_x else None)

    def on_chunk(self, sample: ChunkSample) -> None:
        with self._lock:
            self._policy = sample.policy
            self._catch_up(sample.episode)
            if sample.episode < self._current:
                return
            self._plot(sample, lambda last_x: max(sample.step, last_x))

    def on_verdict(self, episode: int) -> None:
        """A person called this episode a success."""
        with self._lock:
            self._episodes.get(episode).marked = True
            self._touch("episodes")

    def on_health(self, statuses: Iterable[Health]) -> None:
        with self._lock:
            for status in statuses:
                self._health.put(status, self._clock())

    def on_picture(self, time_s: float) -> None:
        """A picture of the state at simulation time ``time_s`` arrived."""
        with self._lock:
            self._picture_lag.on_picture(time_s, self._clock())

    def on_no_pictures(self) -> None:
        """Nobody looks at pictures, so none are asked for."""
        with self._lock:
            self._picture_lag.no_pictures()

    # Read by the server and by the commands.

    def state_age_s(self) -> float:
        """Since the last state; infinite before the first one."""
        with self._lock:
            return self._clock() - self._last_state

    def position(self) -> tuple[int, int]:
        """Episode and step of the last state; zeros before the first one."""
        with self._lock:
            return (self._state.episode, self._state.step) if self._state else (0, 0)

    def changes(self, *cursors: Cursor) -> list[dict[str, Any]]:
        """What each cursor has not seen, ready for JSON; moves the cursors on.

        All at the same instant. ``status`` is always there; a fresh cursor gets everything.
        """
        with self._lock:
            now = self._clock()
            self._health.age(now)
            return [self._changes(cursor, now) for cursor in cursors]

    def _changes(self, cursor: Cursor, now: float) -> dict[str, Any]:
        out: dict[str, Any] = {"status": self._status(now)}
        sections = {
            "spec": (self._versions["spec"], self._spec_section),
            "charts": (self._versions["charts"], self._charts_section),
            "episodes": (self._versions["episodes"], self._episodes.rows),
            "health": (self._health.version, self._health.rows),
        }
        for name, (version, build) in sections.items():
            if cursor.sections.get(name, -1) != version:
                cursor.sections[name] = version
                out[name] = build()
        series = {}
        for name, one in self._series.items():
            seen = cursor.series.get(name, -1)
            if seen != one.total:
                series[name] = one.since(seen)
                cursor.series[name] = one.total
        if series:
            out["series"] = series
        return out

    def _link(self, now: float) -> str:
        if self._last_life == _NEVER:
            return "waiting"
        if now - self._last_state <= self._lost_after_s:
            return "live"
        return "idle" if now - self._last_life <= self._lost_after_s else "lost"

    def _status(self, now: float) -> dict[str, Any]:
        status: dict[str, Any] = {
            "link": self._link(now),
            "received": self._received,
            "dropped": self._dropped,
            "disordered": self._disordered,
            "policy": self._policy,
            "success": self._episodes.success(),
        }
        if self._state is not None:
            status["episode"] = self._state.episode
            status["step"] = self._state.step
            status["time_s"] = plain(self._state.time_s)
            status["age_s"] = plain(now - self._last_state)
            status["steps_per_s"] = plain(self._rate.at(now))
        lag_s = self._picture_lag.at(now)
        if lag_s is not None:
            status["picture_lag_ms"] = plain(1e3 * lag_s)
        if self._step is not None:
            status["reward"] = plain(self._step.reward)
            status["step_ms"] = plain(1e3 * self._step.wall_time_s)
        age_s = now - self._last_state if self._state is not None else None
        behind_s = self._picture_lag.behind_s(now)
        found = alarms(status["link"], age_s, behind_s, self._health.statuses())
        status["alarms"] = [alarm.row() for alarm in found]
        return status

    def _spec_section(self) -> dict[str, Any] | None:
        spec = self._spec
        if spec is None:
            return None
        return {
            "simulator": spec.simulator_version or spec.simulator,
            "task": spec.task,
            "instruction": spec.instruction,
            "control_period_s": plain(spec.control_period_s),
            "max_episode_steps": spec.max_episode_steps,
        }

    def _charts_section(self) -> list[dict[str, Any]]:
        layout = Layout(self._spec, self._state)
        return [chart.describe(layout) for chart in self._charts]
