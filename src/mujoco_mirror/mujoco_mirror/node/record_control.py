"""Starts, feeds, draws and stops a recording. It loses no step and keeps nobody waiting."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from mujoco_mirror.drawing.framing import Cameraman
from mujoco_mirror.drawing.view import View
from mujoco_mirror.fidelity.errors import LinkErrors
from mujoco_mirror.node.messages import RecordingResult, StartRecording, StopRecording
from mujoco_mirror.node.shot import Shot
from mujoco_mirror.recording.backlog import Backlog
from mujoco_mirror.recording.recording import Recording
from sim_bridge.errors import BridgeError, IncorrectState, OperationFailed, TimedOut


class RecordControl:
    """One recording at a time. Steps are stored as they arrive and drawn in order, when there is
    time for it: at the latest before the answer to the request that stops the recording.
    """

    def __init__(self) -> None:
        self._recording: Recording | None = None
        self._backlog = Backlog(Path("."))
        self._cameraman: Cameraman | None = None
        self._taken = (0, 0)
        self._last: Shot | None = None
        self._failure: BridgeError | None = None
        self._starting: StartRecording | None = None
        self._stopping: StopRecording | None = None

    @property
    def waiting(self) -> int:
        """Pictures that are still to be drawn."""
        return len(self._backlog)

    @property
    def lost(self) -> int:
        """Steps for which the store had no room."""
        recording = self._recording
        return recording.lost if recording is not None else 0

    @property
    def has_requests(self) -> bool:
        """Whether ``check`` must be called again before long."""
        return self._starting is not None or self._stopping is not None

    def start(self, request: StartRecording) -> None:
        if self._recording is not None or self._starting is not None:
            request.reply(IncorrectState("a recording is running; stop it first"))
        else:
            self._starting = request

    def stop(self, request: StopRecording) -> None:
        if self._recording is None:
            request.reply(IncorrectState("no recording is running; start one first"))
        elif self._stopping is not None:
            request.reply(IncorrectState("the recording is being stopped already"))
        else:
            self._stopping = request

    def check(self, view: View | None, period_s: float, problem: str) -> None:
        """Answer the requests that can be answered; ``problem``: why there is no view."""
        start, stop = self._starting, self._stopping
        if start is not None and (view is not None or time.monotonic() > start.deadline):
            self._starting = None
            start.reply(self._begin(start, view, period_s, problem))
        if stop is not None and view is not None and self._recording is not None:
            complete = self._is_complete(self._recording, stop)
            if complete or self._failure is not None or time.monotonic() > stop.deadline:
                self._stopping = None
                stop.reply(self._end(self._recording, view, None if complete else stop))

    def count(self, shot: Shot) -> None:
        """A state arrived, in whatever order."""
        if self._recording is not None:
            self._recording.arrivals.arrived(shot.state.episode, shot.state.step)

    def put(self, shot: Shot) -> None:
        """Store a step that the recording does not have yet."""
        position = (shot.state.episode, shot.state.step)
        stop_now = self._stopping is not None and not self._stopping.episode
        if self._recording is None or stop_now or not shot.state.step or position <= self._taken:
            return
        self._taken = position
        if not self._backlog.put(shot):
            self._recording.lost += 1

    def due(self) -> Shot | None:
        """The step to draw next."""
        return self._backlog.first() if len(self._backlog) else None

    def draw(self, view: View) -> np.ndarray:
        """Draw the step that is due, into the recording; the picture."""
        shot, recording, started = self._backlog.take(), self._recording, time.perf_counter()
        assert recording is not None  # only then is a step due
        try:
            image = view.show(shot.state, shot.overlay, self._cameraman)
            recording.draw_s.add(time.perf_counter() - started)
            recording.add(shot.state.episode, shot.state.step, image)
        except BridgeError as error:
            self._failure = error
            raise
        recording.lag_s.add(1e-9 * (time.time_ns() - shot.published_ns))
        recording.joint_error = max(recording.joint_error, view.mirror.joint_error(shot.state))
        self._last = shot
        return image

    def shown(self, lag_s: float | None) -> None:
        """A live picture went out while a recording may be running."""
        if self._recording is not None and lag_s is not None:
            self._recording.live_lag_s.add(lag_s)

    def compared(self, errors: LinkErrors) -> None:
        if self._recording is not None:
            self._recording.links.add(errors)

    def close(self) -> None:
        """At shutdown: what was drawn so far stays playable."""
        for waiting in (self._starting, self._stopping):
            if waiting is not None:
                waiting.reply(OperationFailed("the mirror is shutting down"))
        self._backlog.close()
        if self._recording is not None:
            self._recording.abandon()

    def _begin(
        self, request: StartRecording, view: View | None, period_s: float, problem: str
    ) -> BridgeError | None:
        if view is None:
            return TimedOut(f"no model: {problem or 'the spec of a simulator has not arrived'}")
        try:
            # What the first picture costs must delay neither the first frame nor the answer.
            view.prepare()
            view.reframe()
            self._recording = Recording(request.directory, *view.frame_size, period_s)
        except BridgeError as error:
            return error
        self._backlog = Backlog(self._recording.directory)
        self._cameraman = view.cameraman()
        self._taken, self._last, self._failure = (0, 0), None, None
        return None

    def _is_complete(self, recording: Recording, stop: StopRecording) -> bool:
        if stop.episode:
            return recording.position >= (stop.episode, stop.step)
        return not self.waiting

    def _end(
        self, recording: Recording, view: View, missed: StopRecording | None
    ) -> RecordingResult | BridgeError:
        self._recording = None
        undrawn = self.waiting
        self._backlog.close()
        try:
            picture = None
            if self._last is not None:
                view.mirror.apply(self._last.state)
                picture = view.picture()
            files = recording.finish(picture)
        except (BridgeError, OSError) as error:
            return error if isinstance(error, BridgeError) else OperationFailed(str(error))
        if self._failure is not None:
            return self._failure
        if missed is not None:
            return TimedOut(
                f"episode {missed.episode} step {missed.step} was not drawn in time, with "
                f"{undrawn} pictures still to draw; the recording ends at episode "
                f"{recording.position[0]} step {recording.position[1]}: {files[0]}"
            )
        return RecordingResult(recording.frames, files, recording.summary())
