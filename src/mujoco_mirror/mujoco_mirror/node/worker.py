"""The drawing thread: the only one that touches the model, the GL context and the recording.

Whoever receives states hands them over and goes on. While a recording runs every control step
is drawn, in order; otherwise only the newest state is.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from mujoco_mirror.drawing.overlay import state_overlay
from mujoco_mirror.drawing.renderer import Overlay
from mujoco_mirror.drawing.view import View
from mujoco_mirror.fidelity.errors import FidelityMonitor, Limits, LinkErrors
from mujoco_mirror.late.display import LateDisplay, MakeLate
from mujoco_mirror.model.map_rules import MapRules
from mujoco_mirror.node.messages import (
    CommandArrived,
    LinksArrived,
    ModelFound,
    ModelMissing,
    RecordingResult,
    StartRecording,
    StateArrived,
    StopRecording,
    WatcherJoined,
)
from mujoco_mirror.node.status import MirrorStatus, mirror_status
from mujoco_mirror.recording.recording import Recording
from mujoco_mirror.recording.stream_stats import ArrivalCounter, Percentiles
from sim_bridge.errors import BridgeError, IncorrectState, NotFound, OperationFailed, TimedOut
from sim_bridge.types import SimState

_log = logging.getLogger(__name__)
_POLL_S = 0.05
# A state is a few kB: enough for an hour of backlog, bounded all the same.
_BACKLOG = 50_000
# Pictures between states, where they are wanted: as smooth as a screen needs.
_LATE_PERIOD_S = 1 / 30


class MirrorWorker:
    """``make_view`` loads a model into a View; ``on_image`` gets every picture that was drawn
    and its state; ``wanted`` says whether anybody looks at pictures outside of a recording;
    ``make_late`` gives what draws between states, at a rate of its own (None: draw arrivals).
    """

    def __init__(
        self,
        make_view: Callable[[Path], View],
        on_image: Callable[[np.ndarray, SimState], None],
        wanted: Callable[[], bool],
        rules: MapRules | None = None,
        limits: Limits | None = None,
        overlay: bool = False,
        make_late: MakeLate = lambda model: None,
    ) -> None:
        self._make_view = make_view
        self._on_image = on_image
        self._wanted = wanted
        self._rules = rules
        self._limits = limits or Limits()
        self._with_overlay = overlay
        self._make_late = make_late
        self._late: LateDisplay | None = None
        self._latest: SimState | None = None
        self._next_draw_s = 0.0
        self._items: queue.Queue[Any] = queue.Queue()
        self._view: View | None = None
        self._model: ModelFound | None = None
        self._recording: Recording | None = None
        self._starting: StartRecording | None = None
        self._stopping: StopRecording | None = None
        self.arrivals = ArrivalCounter()
        self.lag_s = Percentiles()
        self._fidelity: FidelityMonitor | None = None
        self._joint_error = 0.0
        self._warned_of = ""
        self.problem = ""
        self.failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="mirror", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def submit(self, item: Any) -> None:
        """Hand over one of ``messages``, from any thread."""
        streamed = isinstance(item, (StateArrived, CommandArrived, LinksArrived))
        if not streamed or self._items.qsize() <= _BACKLOG:
            self._items.put(item)

    def close(self, timeout_s: float = 10.0) -> None:
        self._items.put(None)
        self._thread.join(timeout_s)

    def status(self) -> MirrorStatus:
        """From any thread."""
        view, fidelity, late = self._view, self._fidelity, self._late
        return mirror_status(
            self.problem,
            self.arrivals,
            self.lag_s,
            self._joint_error,
            fidelity.latest if fidelity is not None else None,
            self._limits,
            view.mirror.map.report if view is not None and view.mirror.map is not None else None,
            late.judge.errors if late is not None else None,
        )

    def _run(self) -> None:
        try:
            while self._turn():
                pass
        except Exception as error:  # the node must learn of it: without this thread it is blind
            _log.exception("the drawing thread failed")
            self.failure = error
        finally:
            self._shut_down()

    def _turn(self) -> bool:
        batch = self._next_batch()
        newest = max((i for i, x in enumerate(batch) if isinstance(x, StateArrived)), default=-1)
        for index, item in enumerate(batch):
            if item is None:
                return False
            try:
                self._handle(item, is_newest=index == newest)
            except BridgeError as error:
                if str(error) != self.problem:
                    _log.error("%s", error)
                self.problem = str(error)
        self._check_waiting()
        if self._late is not None and time.monotonic() >= self._next_draw_s:
            self._next_draw_s = time.monotonic() + _LATE_PERIOD_S
            self._draw_late()
        return True

    def _next_batch(self) -> list[Any]:
        try:
            batch = [self._items.get(timeout=self._patience_s())]
        except queue.Empty:
            return []
        while True:
            try:
                batch.append(self._items.get_nowait())
            except queue.Empty:
                return batch

    def _patience_s(self) -> float | None:
        if self._late is not None:
            return max(self._next_draw_s - time.monotonic(), 0.001)
        return _POLL_S if self._starting is not None or self._stopping is not None else None

    def _handle(self, item: Any, is_newest: bool) -> None:
        if isinstance(item, StateArrived):
            self._on_state(item, is_newest)
        elif isinstance(item, CommandArrived):
            if self._late is not None:
                self._late.command(item.names, item.positions, 1e-9 * item.published_ns)
        elif isinstance(item, LinksArrived):
            if self._fidelity is not None:
                self._on_link_errors(self._fidelity.on_links(item.time_s, item.links))
        elif isinstance(item, WatcherJoined):
            self._redraw()
        elif isinstance(item, ModelFound):
            self._on_model(item)
        elif isinstance(item, ModelMissing):
            raise NotFound(item.reason)
        elif isinstance(item, StartRecording):
            self._on_start(item)
        elif isinstance(item, StopRecording):
            self._on_stop(item)

    def _on_model(self, found: ModelFound) -> None:
        if self._model is not None and found.source != self._model.source:
            self.arrivals = ArrivalCounter()
            self._fidelity.forget()
            self._latest = None
        if self._model is None or found.path != self._model.path:
            view = self._make_view(found.path)
            if self._view is not None:
                self._view.close()
            self._view = view
            self._late = self._make_late(view.scene.physics)
            self._fidelity = FidelityMonitor(view.scene.physics, self._rules, self._limits)
        self._model = found
        self.problem = ""

    def _on_start(self, request: StartRecording) -> None:
        if self._recording is not None or self._starting is not None:
            request.reply(IncorrectState("a recording is running; stop it first"))
        else:
            self._starting = request
            self._check_waiting()

    def _on_stop(self, request: StopRecording) -> None:
        if self._recording is None:
            request.reply(IncorrectState("no recording is running; start one first"))
        elif self._stopping is not None:
            request.reply(IncorrectState("the recording is being stopped already"))
        else:
            self._stopping = request
            self._check_waiting()

    def _on_state(self, arrived: StateArrived, is_newest: bool) -> None:
        state, recording = arrived.state, self._recording
        in_order = self.arrivals.arrived(state.episode, state.step)
        if recording is not None:
            recording.arrivals.arrived(state.episode, state.step)
        if self._late is not None:
            self._late.put(state, time.monotonic(), 1e-9 * arrived.published_ns)
        if not in_order or self._view is None:
            return
        self._latest = state
        self._on_link_errors(self._fidelity.on_state(state))
        wants_frame = recording is not None and recording.wants(state.episode, state.step)
        seen = is_newest and self._late is None and self._wanted()
        if not wants_frame and not seen:
            return
        started = time.perf_counter()
        image = self._view.show(state, self._overlay(state))
        drawn = time.perf_counter() - started
        lag = 1e-9 * (time.time_ns() - arrived.published_ns)
        self.lag_s.add(lag)
        self._joint_error = self._view.mirror.joint_error(state)
        if wants_frame:
            recording.add(state.episode, state.step, image)
            recording.lag_s.add(lag)
            recording.draw_s.add(drawn)
            recording.joint_error = max(recording.joint_error, self._joint_error)
        if self._wanted():
            self._on_image(image, state)

    def _redraw(self) -> None:
        """The last state for who joins while nothing moves."""
        if self._latest is not None and self._recording is None and self._wanted():
            self._on_image(self._view.show(self._latest, self._overlay(self._latest)), self._latest)

    def _draw_late(self) -> None:
        """Recordings hold what was, not what may be: they draw states as they were published."""
        if self._recording is None and self._wanted():
            state = self._late.at(time.monotonic())
            if state is not None:
                self._on_image(self._view.show(state, self._overlay(state)), state)

    def _overlay(self, state: SimState) -> Overlay | None:
        if not self._with_overlay:
            return None
        errors = self._fidelity.latest
        return state_overlay(
            state, self.lag_s.last, errors.worst(self._limits) if errors is not None else None
        )

    def _on_link_errors(self, errors: LinkErrors | None) -> None:
        worst = errors.worst(self._limits) if errors is not None else None
        if worst is None:
            return
        name, position, angle = worst
        if self._recording is not None:
            self._recording.links.add(errors)
        wrong = position > self._limits.position_m or angle > self._limits.angle_rad
        if wrong and self._warned_of != name:
            _log.warning(
                "the picture is wrong: link %s is %.3g mm and %.3g deg away from the simulator's",
                name, 1e3 * position, np.degrees(angle),
            )  # fmt: skip
        self._warned_of = name if wrong else ""

    def _check_waiting(self) -> None:
        start, stop = self._starting, self._stopping
        if start is not None and (self._view is not None or time.monotonic() > start.deadline):
            self._starting = None
            start.reply(self._begin(start))
        if stop is not None:
            reached = self._recording.position >= (stop.episode, stop.step)
            if reached or time.monotonic() > stop.deadline:
                self._stopping = None
                stop.reply(self._end(None if reached else stop))

    def _begin(self, request: StartRecording) -> BridgeError | None:
        if self._view is None or self._model is None:
            return TimedOut(
                f"no model: {self.problem or 'the spec of a simulator has not arrived'}"
            )
        try:
            # What the first picture costs must delay neither the first frame nor the answer.
            self._view.prepare()
            self._view.reframe()
            self._recording = Recording(
                request.directory, *self._view.frame_size, self._model.control_period_s
            )
        except BridgeError as error:
            return error
        return None

    def _end(self, missed: StopRecording | None) -> RecordingResult | BridgeError:
        recording, self._recording = self._recording, None
        try:
            picture = self._view.picture() if recording.frames else None
            files = recording.finish(picture)
        except (BridgeError, OSError) as error:
            return error if isinstance(error, BridgeError) else OperationFailed(str(error))
        if missed is not None:
            return TimedOut(
                f"episode {missed.episode} step {missed.step} was not drawn in time; the recording "
                f"ends at episode {recording.position[0]} step {recording.position[1]}: {files[0]}"
            )
        return RecordingResult(recording.frames, files, recording.summary())

    def _shut_down(self) -> None:
        for waiting in (self._starting, self._stopping):
            if waiting is not None:
                waiting.reply(OperationFailed("the mirror is shutting down"))
        if self._recording is not None:
            self._recording.abandon()
        if self._view is not None:
            self._view.close()
