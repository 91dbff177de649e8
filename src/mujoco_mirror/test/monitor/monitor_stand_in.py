"""A real bridge around a toy arm, with a rollout server, a picture and reports beside it.

A process of its own for the monitor's tests: what the monitor talks to is the product's own
bridge and a real action server; only the physics and the picture are made up.
"""

import argparse
import math
import sys
import threading
import time
from typing import Any

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.action import ActionServer, CancelResponse, GoalResponse
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.executors import ExternalShutdownException, MultiThreadedExecutor
from rclpy.node import Node
from sensor_msgs.msg import Image
from sim_interfaces import msg as m
from sim_interfaces.action import Rollout

from sim_bridge import names
from sim_bridge.bridge.node import SimBridge
from sim_bridge.bridge.parameters import BridgeParameters
from sim_bridge.client.bridge_client import BridgeClient
from sim_bridge.ros import qos
from sim_bridge.ros.images import to_image_msg
from sim_bridge.types import ActionSpec, JointSpec, SimSpec, SimState, StepOutcome

JOINTS = ("shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_roll", "gripper")
LIMIT = 120


class ToyArm:
    """Joints that follow their targets; the reward is how close they are."""

    def __init__(self, period_s):
        n = len(JOINTS)
        names_ = tuple(f"arm/{j}" for j in JOINTS)
        self.spec = SimSpec(
            simulator="toy",
            simulator_version="toy 1.0",
            task="ToyReach-v0",
            instruction="move every joint to its target",
            robot_entities=("arm",),
            base_frames=("arm/base",),
            joints=tuple(JointSpec(j, j != "arm/gripper", -2.0, 2.0) for j in names_),
            action=ActionSpec(
                JOINTS, -2 * np.ones(n), 2 * np.ones(n), ("rad",) * n, "joint_position"
            ),
            observations=(),
            control_period_s=period_s,
            max_episode_steps=LIMIT,
        )
        self._names = names_
        self._q = np.zeros(n)
        self._step = 0

    def reset(self, seed=None, state=None, options=None):
        self._q = np.random.default_rng(seed).uniform(-1, 1, len(JOINTS))
        self._step = 0
        return StepOutcome({})

    def step(self, action):
        self._q += 0.2 * (action - self._q)
        self._step += 1
        error = float(np.abs(action - self._q).mean())
        return StepOutcome({}, reward=math.exp(-error), truncated=self._step >= LIMIT)

    def state(self, native=False):
        return SimState(
            time_s=self._step * self.spec.control_period_s,
            joint_names=self._names,
            joint_positions=self._q.copy(),
            joint_velocities=np.zeros(len(JOINTS)),
        )

    def model_files(self):
        return {}

    def close(self):
        pass


class Companions(Node):
    """The rollout server, the picture of each state, and what a mirror reports."""

    def __init__(self, period_s):
        super().__init__("companions")
        self._period_s = period_s
        self._image = self.create_publisher(Image, names.MIRROR_IMAGE, qos.IMAGES)
        self._chunks = self.create_publisher(DiagnosticStatus, names.CHUNK_INFO, qos.EVERY_STEP)
        self._health = self.create_publisher(DiagnosticArray, names.DIAGNOSTICS, qos.ROBOT_STATE)
        self.create_subscription(m.SimState, names.STATE, self._on_state, qos.EVERY_STEP)
        self.create_timer(1.0, self._report)
        self._server = ActionServer(
            self,
            Rollout,
            names.ROLLOUT,
            self._run,
            goal_callback=self._accept,
            cancel_callback=lambda _: CancelResponse.ACCEPT,
            callback_group=ReentrantCallbackGroup(),
        )
        self._bridge = BridgeClient(self, client_id="rollout", timeout_s=20.0)
        self._busy = threading.Lock()

    def _accept(self, _):
        return GoalResponse.REJECT if self._busy.locked() else GoalResponse.ACCEPT

    def _on_state(self, state):
        x = np.linspace(0, 4 * np.pi, 320)[None, :, None]
        y = np.linspace(0, 3 * np.pi, 240)[:, None, None]
        shade = np.array([0.0, 0.7, 1.6])[None, None, :]
        picture = 110 + 60 * np.sin(x + 0.2 * state.step + shade) + 50 * np.cos(y + shade)
        message = to_image_msg(picture.astype(np.uint8))
        message.header.stamp = state.header.stamp
        self._image.publish(message)

    def _report(self):
        values = {
            "link_position_error_m": 2.1e-5,
            "link_angle_error_rad": 4e-5,
            "worst_link": "arm/jaw",
        }
        self._health.publish(
            DiagnosticArray(
                status=[
                    DiagnosticStatus(
                        level=DiagnosticStatus.OK,
                        name="mirror: fidelity",
                        message="0.021 mm, 0.002 deg",
                        values=[KeyValue(key=k, value=str(v)) for k, v in values.items()],
                    )
                ]
            )
        )

    def _run(self, goal):
        with self._busy:
            return self._episodes(goal)

    def _episodes(self, goal):
        result = Rollout.Result()
        for episode in range(goal.request.episodes):
            number = self._bridge.reset(seed=episode).state.episode
            for step in range(LIMIT):
                if goal.is_cancel_requested:
                    self._bridge.release()
                    goal.canceled()
                    return result
                if step % 8 == 0:
                    self._say_chunk(number, step)
                phase = 0.1 * step + np.arange(len(JOINTS))
                self._bridge.step(np.sin(phase))
                time.sleep(self._period_s)
        self._bridge.release()
        goal.succeed()
        return result

    def _say_chunk(self, episode, step):
        seconds = 0.02 + 0.004 * math.sin(step)
        values = {
            "episode": episode,
            "observation_step": step,
            "inference_time": seconds,
            "queue_time": 0.002,
        }
        pairs = [KeyValue(key=k, value=str(v)) for k, v in values.items()]
        self._chunks.publish(DiagnosticStatus(name="policy: chunk", values=pairs))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate-hz", type=float, default=20.0)
    rate_hz = parser.parse_args().rate_hz
    rclpy.init()
    arm: Any = ToyArm(1.0 / rate_hz)
    bridge = SimBridge(arm, BridgeParameters())
    companions = Companions(1.0 / rate_hz)
    executor = MultiThreadedExecutor(3)
    executor.add_node(bridge)
    executor.add_node(companions)
    threading.Thread(target=_spin, args=(executor,), daemon=True).start()
    bridge.announce()
    try:
        while rclpy.ok():
            bridge.spin_once(0.2)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    return 0


def _spin(executor):
    try:
        executor.spin()
    except ExternalShutdownException:
        pass


if __name__ == "__main__":
    sys.exit(main())
