"""Real time on ROS: commands come in, pause and single_step are served, health goes out."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.node import Node
from sensor_msgs.msg import JointState
from std_srvs.srv import SetBool, Trigger
from trajectory_msgs.msg import JointTrajectory

from sim_bridge import names
from sim_bridge.bridge.parameters import BridgeParameters
from sim_bridge.bridge.real_time.command_slot import CommandSlot, match_targets
from sim_bridge.bridge.real_time.core import RealTime, RealTimeStatus
from sim_bridge.bridge.real_time.pacer import Pacer
from sim_bridge.bridge.session import Session
from sim_bridge.errors import BridgeError, InvalidAction
from sim_bridge.ros import qos
from sim_bridge.ros.service_loop import ServiceLoop

_REPORT_PERIOD_S = 1.0


class RealTimeTopics:
    """``run_due`` belongs to the simulator's thread, the subscriptions to the executor's.

    FeatureUnsupported for a task that is not controlled by joint positions.
    """

    def __init__(
        self,
        node: Node,
        session: Session,
        loop: ServiceLoop,
        parameters: BridgeParameters,
        flush: Callable[[], None],
    ) -> None:
        spec = session.simulator.spec
        self._node = node
        self._action = spec.action
        self._flush = flush
        self._refused = 0
        self._missed_before = 0
        self._slot = CommandSlot(spec.action.size, time.monotonic)
        self._real_time = RealTime(
            session,
            self._slot,
            Pacer(spec.control_period_s, time.monotonic),
            parameters.command_timeout_s,
            parameters.on_stale,
        )
        self._reports = Pacer(_REPORT_PERIOD_S, time.monotonic)
        self._health = node.create_publisher(DiagnosticArray, names.DIAGNOSTICS, qos.ROBOT_STATE)
        node.create_subscription(JointState, names.JOINT_COMMAND, self._on_joints, qos.COMMANDS)
        node.create_subscription(
            JointTrajectory, names.JOINT_TRAJECTORY_COMMAND, self._on_trajectory, qos.COMMANDS
        )
        loop.add(SetBool, names.PAUSE, self._pause)
        loop.add(Trigger, names.SINGLE_STEP, self._single_step)

    def start(self) -> None:
        self._real_time.start()
        self._flush()
        self._reports.tick()

    def run_due(self) -> float:
        """Do what is due; the time until there is something to do again [s]."""
        if self._real_time.run_due():
            self._flush()
        if self._reports.due():
            self._reports.tick()
            self._report(self._real_time.take_status())
        return min(self._real_time.wait_s(), self._reports.left_s())

    def _on_joints(self, message: JointState) -> None:
        self._take(lambda: match_targets(message.name, message.position, self._action))

    def _on_trajectory(self, message: JointTrajectory) -> None:
        def targets() -> dict[int, float]:
            if len(message.points) != 1:
                raise InvalidAction(f"{len(message.points)} trajectory points; valid: 1")
            return match_targets(message.joint_names, message.points[0].positions, self._action)

        self._take(targets)

    def _take(self, targets: Callable[[], dict[int, float]]) -> None:
        try:
            self._slot.put(targets())
        except BridgeError as error:
            self._refused += 1
            self._node.get_logger().warning(f"command: {error}", throttle_duration_sec=1.0)

    def _pause(self, request: SetBool.Request) -> SetBool.Response:
        return _answer(SetBool.Response, lambda: self._real_time.pause(request.data))

    def _single_step(self, _: Trigger.Request) -> Trigger.Response:
        return _answer(Trigger.Response, lambda: f"step {self._real_time.single_step()}")

    def _report(self, status: RealTimeStatus) -> None:
        missed = status.missed_deadlines - self._missed_before
        self._missed_before = status.missed_deadlines
        level, message = _verdict(status, missed)
        values = {
            "real_time_factor": f"{status.real_time_factor:.3f}",
            "missed_deadlines": str(status.missed_deadlines),
            "stale_commands": str(status.stale_commands),
            "refused_commands": str(self._refused),
            "paused": str(status.paused).lower(),
        }
        array = DiagnosticArray()
        array.header.stamp = self._node.get_clock().now().to_msg()
        array.status = [
            DiagnosticStatus(
                level=level,
                name=f"{self._node.get_fully_qualified_name().lstrip('/')}: real time",
                message=message,
                values=[KeyValue(key=key, value=value) for key, value in values.items()],
            )
        ]
        self._health.publish(array)


def _verdict(status: RealTimeStatus, missed: int) -> tuple[bytes, str]:
    """The worst thing first; ``missed`` deadlines since the last report."""
    if status.problem:
        return DiagnosticStatus.ERROR, status.problem
    if status.paused:
        return DiagnosticStatus.OK, "paused"
    if status.stale:
        return DiagnosticStatus.WARN, "the last command is stale"
    if missed:
        return DiagnosticStatus.WARN, f"{missed} deadline(s) missed"
    return DiagnosticStatus.OK, "on schedule"


def _answer(response_type: type, call: Callable[[], str | None]) -> Any:
    try:
        return response_type(success=True, message=call() or "")
    except Exception as error:
        return response_type(success=False, message=str(error))
