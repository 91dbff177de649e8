"""The drawing thread: the only one that touches the model, the GL context and the recording.

Whoever receives states hands them over and goes on. The newest one is drawn for those who watch,
first; a recording has a store of its own and gets the time that is left.
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
from mujoco_mirror.fidelity.trouble import Trouble
from mujoco_mirror.late.display import LateDisplay, MakeLate
from mujoco_mirror.model.map_rules import MapRules
from mujoco_mirror.node.live_picture import LatePicture, LivePicture
from mujoco_mirror.node.messages import (
    CommandArrived,
    LinksArrived,
    ModelFound,
    ModelMissing,
    StartRecording,
    StateArrived,
    StopRecording,
    WatcherJoined,
)
from mujoco_mirror.node.record_control import RecordControl
from mujoco_mirror.node.shot import Shot
from mujoco_mirror.node.status import MirrorFigures, MirrorStatus, mirror_status
from mujoco_mirror.recording.stream_stats import ArrivalCounter, Percentiles
from sim_bridge.errors import BridgeError, NotFound
from sim_bridge.types import SimState

_log = logging.getLogger(__name__)
_POLL_S = 0.05
# Of the time that a picture takes.
_JUST = 0.25
# Between two pictures the queue is emptied, so this is seconds of messages, not a store.
_BACKLOG = 50_000


class MirrorWorker:
    """``make_view`` loads a model into a View; ``on_image`` gets every live picture and its
    state; ``wanted`` says whether anybody looks at them; ``make_late`` gives what draws between
    states, at a rate of its own (None: draw arrivals).
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
        self._items: queue.Queue[Any] = queue.Queue()
        self._view: View | None = None
        self._model: ModelFound | None = None
        self._late: LateDisplay | None = None
        self._live = LivePicture(wanted)
        self._live_was_last = False
        self._records = RecordControl()
        self._fidelity: FidelityMonitor | None = None
        self._trouble = Trouble()
        self._joint_error = 0.0
        self._draw_s = Percentiles()
        self.arrivals = ArrivalCounter()
        self.problem = ""
        self.failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="mirror", daemon=True)
        self._handlers: dict[type, Callable[[Any], None]] = {
            StateArrived: self._on_state,
            CommandArrived: self._on_command,
            LinksArrived: self._on_links,
            WatcherJoined: lambda _: self._live.again(),
            ModelFound: self._on_model,
            ModelMissing: self._on_no_model,
            StartRecording: self._records.start,
            StopRecording: self._records.stop,
        }

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
        fidelity, late, live = self._fidelity, self._late, self._live
        return mirror_status(
            MirrorFigures(
                problem=self.problem,
                arrivals=self.arrivals,
                live_lag_s=live.lag_s,
                behind_s=live.behind_s(),
                draw_s=self._draw_s,
                pictures_to_draw=self._records.waiting,
                steps_lost=self._records.lost,
                joint_error=self._joint_error,
                links=fidelity.latest if fidelity is not None else None,
                limits=self._limits,
                map_report=fidelity.map_report if fidelity is not None else None,
                late_errors=late.judge.errors if late is not None else None,
            )
        )

    def _run(self) -> None:
        try:
            while self._turn():
                pass
        except Exception as error:  # the node must know: without this thread it draws nothing
            _log.exception("the drawing thread failed")
            self.failure = error
        finally:
            self._records.close()
            if self._view is not None:
                self._view.close()

    def _turn(self) -> bool:
        """All that has arrived, then one picture."""
        for item in self._next_batch():
            if item is None:
                return False
            self._try(self._handlers[type(item)], item)
        period_s = self._model.control_period_s if self._model is not None else 0.0
        self._records.check(self._view, period_s, self.problem)
        if self._view is not None:
            self._try(self._draw_one, self._view)
        return True

    def _try(self, do: Callable[..., None], *arguments: Any) -> None:
        try:
            do(*arguments)
        except BridgeError as error:
            if str(error) != self.problem:
                _log.error("%s", error)
            self.problem = str(error)

    def _next_batch(self) -> list[Any]:
        batch = []
        try:
            batch.append(self._items.get(timeout=self._patience_s()))
            while True:
                batch.append(self._items.get_nowait())
        except queue.Empty:
            return batch

    def _patience_s(self) -> float | None:
        if self._view is not None and (self._live.waiting or self._records.waiting):
            return 1e-6
        return _POLL_S if self._records.has_requests else self._live.patience_s()

    def _on_model(self, found: ModelFound) -> None:
        if self._model is not None and found.source != self._model.source:
            self.arrivals = ArrivalCounter()
            if self._fidelity is not None:
                self._fidelity.forget()
            self._live.forget()
        if self._model is None or found.path != self._model.path:
            if self._view is not None:
                self._finish_drawing(self._view)
            view = self._make_view(found.path)
            if self._view is not None:
                self._view.close()
            self._view = view
            self._late = self._make_late(view.scene.physics)
            if self._late is not None:
                self._live = LatePicture(self._wanted, self._late)
            self._fidelity = FidelityMonitor(view.scene.physics, self._rules, self._limits)
        self._model = found
        self.problem = ""

    def _finish_drawing(self, view: View) -> None:
        """Draw the states of the outgoing model while it is still loaded."""
        while self._records.waiting:
            self._records.draw(view)

    def _on_no_model(self, missing: ModelMissing) -> None:
        raise NotFound(missing.reason)

    def _on_command(self, command: CommandArrived) -> None:
        if self._late is not None:
            self._late.command(command.names, command.positions, 1e-9 * command.published_ns)

    def _on_state(self, arrived: StateArrived) -> None:
        state = arrived.state
        shot = Shot(state, arrived.published_ns, arrived.arrived_s, self._overlay(state))
        self._records.count(shot)
        in_order = self.arrivals.arrived(state.episode, state.step)
        if not in_order or self._fidelity is None:  # no model yet
            return
        self._live.put(shot)
        self._records.put(shot)
        self._on_link_errors(self._fidelity.on_state(state, arrived.published_ns))

    def _on_links(self, arrived: LinksArrived) -> None:
        if self._fidelity is not None:
            errors = self._fidelity.on_links(arrived.time_s, arrived.links, arrived.published_ns)
            self._on_link_errors(errors)

    def _draw_one(self, view: View) -> None:
        """The newest state for those who watch, or else the next step of the recording; one
        picture for both where that is the same."""
        live, recorded = self._live.due(), self._records.due()
        started = time.perf_counter()
        if recorded is not None and (live is None or recorded is live or self._can_wait(live)):
            shot, image = recorded, self._records.draw(view)
            if recorded is live:
                view.follow()
        elif live is not None:
            shot, image = live, view.show(live.state, live.overlay)
        else:
            return
        self._draw_s.add(time.perf_counter() - started)
        self._joint_error = view.mirror.joint_error(shot.state)
        self._live_was_last = shot is live
        if shot is live:
            self._on_image(image, shot.state)
            self._records.shown(self._live.shown(shot))

    def _can_wait(self, live: Shot) -> bool:
        """Where states come faster than pictures, those who watch and the recording take turns:
        a newer state will be there when the next picture for those who watch is begun."""
        just_arrived = time.monotonic() - live.arrived_s < _JUST * self._draw_s.last
        return self._live_was_last and self._live.waiting > 1 and just_arrived

    def _overlay(self, state: SimState) -> Overlay | None:
        if not self._with_overlay:
            return None
        errors = self._fidelity.latest if self._fidelity is not None else None
        worst = errors.worst(self._limits) if errors is not None else None
        return state_overlay(state, self._live.lag_s.last, worst)

    def _on_link_errors(self, errors: LinkErrors | None) -> None:
        worst = errors.worst(self._limits) if errors is not None else None
        if errors is None or worst is None:
            return
        self._records.compared(errors)
        name, position, angle = worst
        wrong = position > self._limits.position_m or angle > self._limits.angle_rad
        if self._trouble.begins(wrong, time.monotonic()):
            _log.warning(
                "the picture is wrong: link %s is %.3g mm and %.3g deg away from the simulator's",
                name, 1e3 * position, np.degrees(angle),
            )  # fmt: skip
