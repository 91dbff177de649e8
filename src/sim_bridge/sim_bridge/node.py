"""The bridge node: one simulator on the wire.

The main thread owns the simulator and serves the time-critical services between steps; all
the rest of ROS (parameters and the like) is served by an executor in a second thread.
"""

from __future__ import annotations

import sys
import threading
import uuid
from dataclasses import replace

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node

from sim_bridge.errors import BridgeError
from sim_bridge.parameters import BridgeParameters, read_parameters
from sim_bridge.publishers import StepPublishers
from sim_bridge.services import ControlServices
from sim_bridge.session import Session, StepRecord
from sim_bridge.simulator import Simulator
from sim_bridge.simulators.registry import open_simulator
from sim_bridge.waiting import ServiceLoop

_IDLE_WAIT_S = 0.2


class SimBridge(Node):
    """Wires a simulator to services and topics; ``spin_once`` belongs to the main thread."""

    def __init__(self, simulator: Simulator, parameters: BridgeParameters, **kwargs) -> None:
        super().__init__("sim_bridge", **kwargs)
        self._topics = StepPublishers(self, simulator)
        self._late: StepRecord | None = None
        self._bridge_id = uuid.uuid4().hex
        self._spec = replace(simulator.spec, bridge_id=self._bridge_id)
        self._loop = ServiceLoop(self, after_reply=self._publish_late)
        session = Session(simulator, self._on_record, parameters.lease_s)
        ControlServices(session, self._bridge_id, self.get_logger().warning).attach(self._loop)

    def announce(self) -> None:
        """Publish the spec: from now on clients can find the bridge."""
        self._topics.publish_spec(self._spec)
        spec = self._spec
        self.get_logger().info(
            f"{spec.task} in {spec.simulator} ({spec.simulator_version}), "
            f"{len(spec.action.names)} actions every {spec.control_period_s:g} s"
        )

    def spin_once(self, timeout_s: float) -> None:
        self._loop.spin_once(timeout_s)

    def _on_record(self, record: StepRecord) -> None:
        """Publish one step late, so that the last one of a request goes out after its answer."""
        self._publish_late()
        self._late = record

    def _publish_late(self) -> None:
        if self._late is not None:
            record, self._late = self._late, None
            self._topics.publish(record)


def _read_parameters(args: list[str] | None) -> BridgeParameters:
    """Through a node of its own: the simulator must exist before the bridge node does."""
    node = Node("sim_bridge", start_parameter_services=False, enable_rosout=False)
    try:
        return read_parameters(node, BridgeParameters)
    finally:
        node.destroy_node()


def main(args: list[str] | None = None) -> int:
    rclpy.init(args=args)
    simulator = None
    try:
        parameters = _read_parameters(args)
        simulator = open_simulator(
            parameters.simulator,
            parameters.task,
            kwargs=parameters.task_kwargs(),
            image_width=parameters.image_width,
            image_height=parameters.image_height,
        )
        _serve(SimBridge(simulator, parameters))
    except BridgeError as error:
        print(f"sim_bridge: {error}", file=sys.stderr)
        return 2
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        if simulator is not None:
            simulator.close()
        rclpy.try_shutdown()
    return 0


def _serve(bridge: SimBridge) -> None:
    executor = SingleThreadedExecutor()
    executor.add_node(bridge)
    thread = threading.Thread(target=_spin, args=(executor,), name="executor", daemon=True)
    thread.start()
    try:
        bridge.announce()
        while rclpy.ok():
            bridge.spin_once(_IDLE_WAIT_S)
    finally:
        executor.shutdown()
        thread.join(timeout=2.0)
        bridge.destroy_node()


def _spin(executor: SingleThreadedExecutor) -> None:
    try:
        executor.spin()
    except ExternalShutdownException:
        pass


if __name__ == "__main__":
    sys.exit(main())
