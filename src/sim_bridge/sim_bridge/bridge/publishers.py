"""Everything the bridge publishes about a step; nothing is built that nobody listens to."""

from __future__ import annotations

from rclpy.node import Node
from rclpy.publisher import Publisher
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import JointState
from sim_interfaces import msg as m
from tf2_msgs.msg import TFMessage

from sim_bridge import names
from sim_bridge.bridge.session import StepRecord
from sim_bridge.ros import qos
from sim_bridge.ros.convert import (
    to_joint_state_msg,
    to_state_msg,
    to_step_info_msg,
    to_time,
    to_transforms,
)
from sim_bridge.ros.convert_spec import to_spec_msg
from sim_bridge.simulators.protocol import Simulator
from sim_bridge.types import SimSpec


class StepPublishers:
    """state, step_info, joint_states, clock, tf and the latched spec."""

    def __init__(self, node: Node, simulator: Simulator) -> None:
        self._simulator = simulator
        self._state = node.create_publisher(m.SimState, names.STATE, qos.EVERY_STEP)
        self._info = node.create_publisher(m.StepInfo, names.STEP_INFO, qos.EVERY_STEP)
        self._joints = node.create_publisher(JointState, names.JOINT_STATES, qos.ROBOT_STATE)
        self._clock = node.create_publisher(Clock, names.CLOCK, qos.CLOCK)
        self._tf = node.create_publisher(TFMessage, names.TF, qos.ROBOT_STATE)
        self._spec = node.create_publisher(m.SimSpec, names.SPEC, qos.LATCHED)

    def publish_spec(self, spec: SimSpec) -> None:
        self._spec.publish(to_spec_msg(spec))

    def heard(self) -> bool:
        """Whether anybody listens to any of them."""
        return any(map(_heard, (self._state, self._info, self._joints, self._clock, self._tf)))

    def publish(self, record: StepRecord) -> None:
        state = record.read_state()
        if _heard(self._clock):
            self._clock.publish(Clock(clock=to_time(state.time_s)))
        if _heard(self._state):
            self._state.publish(to_state_msg(state))
        if record.action is not None and _heard(self._info):
            self._info.publish(
                to_step_info_msg(state, record.action, record.outcome, record.wall_time_s)
            )
        if _heard(self._joints):
            self._joints.publish(to_joint_state_msg(state))
        if _heard(self._tf):
            links = self._simulator.link_poses()
            self._tf.publish(TFMessage(transforms=to_transforms(links, state.time_s)))


def _heard(publisher: Publisher) -> bool:
    return publisher.get_subscription_count() > 0
