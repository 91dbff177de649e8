"""The bridge node: one simulator on the wire.

The main thread owns the simulator and serves the time-critical services between steps; all
the rest of ROS (parameters and the like) is served by an executor in a second thread.
"""

from __future__ import annotations

import argparse
import os
import uuid
from dataclasses import replace

from rclpy.node import Node

from sim_bridge.bridge.cameras import CameraPublishers
from sim_bridge.bridge.parameters import (
    REAL_TIME,
    BridgeParameters,
    CameraParameters,
    camera_prefix,
)
from sim_bridge.bridge.publishers import StepPublishers
from sim_bridge.bridge.real_time.topics import RealTimeTopics
from sim_bridge.bridge.services import ControlServices
from sim_bridge.bridge.session import Session, StepRecord
from sim_bridge.errors import BridgeError
from sim_bridge.ros.interrupts import StopFlag
from sim_bridge.ros.parameters import declare_parameters, declare_pid, read_parameters
from sim_bridge.ros.program import Program, spinning
from sim_bridge.ros.service_loop import ServiceLoop
from sim_bridge.simulators.protocol import Simulator
from sim_bridge.simulators.registry import open_simulator

_IDLE_WAIT_S = 0.2
# What the launch files say of the DDS profile.
_NETWORK_VARIABLE = "TWINSTEP_NETWORK"


class SimBridge(Node):
    """Wires a simulator to services and topics; ``spin_once`` belongs to the main thread."""

    def __init__(self, simulator: Simulator, parameters: BridgeParameters, **kwargs) -> None:
        super().__init__("sim_bridge", **kwargs)
        declare_parameters(self, parameters)
        declare_pid(self)
        self._topics = StepPublishers(self, simulator)
        self._pending: StepRecord | None = None
        self._bridge_id = uuid.uuid4().hex
        self._spec = replace(simulator.spec, bridge_id=self._bridge_id)
        self._cameras = CameraPublishers(self, simulator, parameters)
        self._loop = ServiceLoop(self, after_reply=self.flush)
        real_time = parameters.mode == REAL_TIME
        session = Session(simulator, self, parameters.lease_s, own_pace=real_time)
        self._real_time: RealTimeTopics | None = None
        if real_time:
            self._real_time = RealTimeTopics(self, session, self._loop, parameters, self.flush)
        ControlServices(session, self._bridge_id, self.get_logger().warning).attach(self._loop)

    def announce(self) -> None:
        """Publish the spec: from now on clients can find the bridge."""
        if self._real_time is not None:
            self._real_time.start()
        self._topics.publish_spec(self._spec)
        spec = self._spec
        self.get_logger().info(
            f"{spec.task} in {spec.simulator} ({spec.simulator_version}), "
            f"{len(spec.action.names)} actions every {spec.control_period_s:g} s"
        )
        if os.environ.get(_NETWORK_VARIABLE) == "lan":
            self.get_logger().warning(
                "network:=lan: anybody in this network finds this simulator and may step it; "
                "network:=local keeps it to this machine"
            )

    def spin_once(self, timeout_s: float) -> None:
        if self._real_time is not None:
            timeout_s = min(timeout_s, self._real_time.run_due())
        self._loop.spin_once(timeout_s)

    def wanted(self) -> bool:
        return self._topics.heard() or self._cameras.heard()

    def record(self, record: StepRecord) -> None:
        """Keep it until the scene changes, so that the last one goes out after the answer."""
        self._pending = record

    def flush(self) -> None:
        record, self._pending = self._pending, None
        if record is None or not self.wanted():
            return
        try:
            self._topics.publish(record)
            self._cameras.publish(record.read_state().time_s)
        except BridgeError as error:  # an invalid state, after a step that went well
            self.get_logger().error(f"not published: {error}")


PROGRAM = Program(
    "sim_bridge",
    "Host a simulator: serve reset, step and state, publish every step.",
    (BridgeParameters,),
    ((CameraParameters, camera_prefix("<name>")),),
)


def main(args: list[str] | None = None) -> int:
    return PROGRAM.run(_work, args)


def _work(stop: StopFlag, given: argparse.Namespace) -> None:
    parameters = _read_parameters()
    simulator = open_simulator(
        parameters.simulator,
        parameters.task,
        kwargs=parameters.task_kwargs(),
        image_width=parameters.image_width,
        image_height=parameters.image_height,
    )
    try:
        with spinning(SimBridge(simulator, parameters)) as bridge:
            bridge.announce()
            while not stop.requested:
                bridge.spin_once(_IDLE_WAIT_S)
    finally:
        simulator.close()


def _read_parameters() -> BridgeParameters:
    """Through a node of its own: the simulator must exist before the bridge node does."""
    node = Node("sim_bridge", start_parameter_services=False, enable_rosout=False)
    try:
        return read_parameters(node, BridgeParameters)
    finally:
        node.destroy_node()
