"""The mirror node: states in, pictures and recordings out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mujoco
import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.node import Node

from mujoco_mirror.drawing.view import View
from mujoco_mirror.fidelity.errors import Limits
from mujoco_mirror.late.display import HOLD, LateDisplay, make_compensation
from mujoco_mirror.model.map_rules import load_rules
from mujoco_mirror.node.inputs import Inputs
from mujoco_mirror.node.messages import WatcherJoined
from mujoco_mirror.node.parameters import MirrorParameters
from mujoco_mirror.node.pictures import Pictures
from mujoco_mirror.node.record_service import RecordService
from mujoco_mirror.node.worker import MirrorWorker
from sim_bridge import names
from sim_bridge.ros import qos
from sim_bridge.ros.parameters import read_parameters
from sim_bridge.ros.program import Program, spin

_STATUS_PERIOD_S = 1.0


class MirrorNode(Node):
    """Wires topics and the record service to the worker thread; callbacks only hand over."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("mujoco_mirror", **kwargs)
        p = self._settings = read_parameters(self, MirrorParameters)
        self._rules = load_rules(p.map_rules) if p.map_rules else None
        self._pictures = Pictures(self, self._on_watcher)
        self._worker = MirrorWorker(
            self._make_view,
            self._pictures.publish,
            self._pictures.watched,
            self._rules,
            Limits(1e-3 * p.link_limit_mm, float(np.radians(p.link_limit_deg))),
            p.overlay,
            self._make_late,
        )
        self._health = self.create_publisher(DiagnosticArray, names.DIAGNOSTICS, qos.ROBOT_STATE)
        self._fidelity = self.create_publisher(
            DiagnosticStatus, names.MIRROR_FIDELITY, qos.ROBOT_STATE
        )
        self._inputs = Inputs(self, p, self._worker.submit)
        self._record = RecordService(self, self._worker.submit)
        self.create_timer(_STATUS_PERIOD_S, self._report)
        self._worker.start()

    def destroy_node(self) -> None:
        self._worker.close()
        super().destroy_node()

    def _on_watcher(self) -> None:
        self._worker.submit(WatcherJoined())

    def _make_view(self, path: Path) -> View:
        view = View(path, self._settings.view_settings(), self._rules)
        if self._settings.viewer:
            self._pictures.open_viewer(view)
        self.get_logger().info(f"mirroring {path} at quality {view.quality.name}")
        return view

    def _make_late(self, model: mujoco.MjModel) -> LateDisplay | None:
        p = self._settings
        if p.late == HOLD:
            return None
        return LateDisplay(make_compensation(p.late, p.delay_s, model, self._rules))

    def _report(self) -> None:
        if self._worker.failure is not None:
            raise self._worker.failure
        status = self._worker.status()
        message = DiagnosticStatus(
            level=bytes([status.level]),
            name=f"{self.get_fully_qualified_name()[1:]}: fidelity",
            message=status.message,
            hardware_id="mujoco_mirror",
            values=[KeyValue(key=k, value=v) for k, v in status.values.items()],
        )
        self._fidelity.publish(message)
        array = DiagnosticArray(status=[message])
        array.header.stamp = self.get_clock().now().to_msg()
        self._health.publish(array)


PROGRAM = Program(
    "mirror",
    "Show a simulator's state in a local MuJoCo model: pictures, video, fidelity.",
    (MirrorParameters,),
)


def main(args: list[str] | None = None) -> int:
    return PROGRAM.run(lambda stop, given: spin(MirrorNode(), stop), args)
