"""What the mirror is fed with: topics and models, handed over as ``messages``."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from rclpy.node import Node
from rclpy.qos import QoSProfile
from sensor_msgs.msg import JointState
from sim_interfaces import msg as m
from std_msgs.msg import String
from tf2_msgs.msg import TFMessage

from mujoco_mirror.late.display import PREDICT
from mujoco_mirror.node.messages import (
    CommandArrived,
    LinksArrived,
    ModelFound,
    ModelMissing,
    StateArrived,
)
from mujoco_mirror.node.parameters import ROBOT_DESCRIPTION, MirrorParameters
from mujoco_mirror.sources.joint_source import JointSource
from mujoco_mirror.sources.model_fetch import fetch_model
from mujoco_mirror.sources.model_store import ModelStore, find_model
from mujoco_mirror.sources.transforms import frames, link_poses
from mujoco_mirror.sources.urdf import for_mujoco
from sim_bridge import names
from sim_bridge.errors import BridgeError
from sim_bridge.ros import qos
from sim_bridge.ros.convert import from_state_msg, from_time
from sim_bridge.ros.convert_spec import from_model_msg


class Inputs:
    """``submit`` takes what arrived, from any thread."""

    def __init__(
        self, node: Node, settings: MirrorParameters, submit: Callable[[Any], None]
    ) -> None:
        self._node = node
        self._settings = settings
        self._submit = submit
        p = settings
        # Discovery announces endpoints in this order: when the spec has come, the bridge also
        # knows of the subscription to states, and no state after that is missed.
        if p.source == "state":
            self._listen(m.SimState, names.STATE, self._on_state, qos.EVERY_STEP)
        else:
            self._joints = JointSource([b for b in p.bases.split(",") if b], names.WORLD_FRAME)
            self._listen(JointState, names.JOINT_STATES, self._on_joints, qos.SENSORS)
            for topic, profile in ((names.TF, qos.EVERY_STEP), (names.TF_STATIC, qos.LATCHED)):
                node.create_subscription(TFMessage, topic, self._on_bases, profile)
        if p.model == ROBOT_DESCRIPTION:
            node.create_subscription(String, p.model, self._on_description, qos.LATCHED)
        else:
            node.create_subscription(m.SimSpec, names.SPEC, self._on_spec, qos.LATCHED)
        if p.check_links and p.source == "state":
            self._listen(TFMessage, names.TF, self._on_tf, qos.EVERY_STEP)
        if p.late == PREDICT:
            self._listen(JointState, names.JOINT_COMMAND, self._on_command, qos.COMMANDS)

    def _listen(
        self, msg_type: type, topic: str, callback: Callable[..., None], profile: QoSProfile
    ) -> None:
        """``callback`` also takes the message's info, which rclpy's types do not have."""
        self._node.create_subscription(msg_type, topic, callback, profile)

    def _on_spec(self, spec: m.SimSpec) -> None:
        threading.Thread(target=self._find_model, args=(spec,), name="model", daemon=True).start()

    def _find_model(self, spec: m.SimSpec) -> None:
        """Runs in a thread: the bridge may have to hand over many megabytes."""
        try:
            if self._settings.model:
                path = Path(self._settings.model)
            else:
                reference = from_model_msg(spec.model)
                path = find_model(reference, ModelStore(), lambda: fetch_model(self._node))
            self._submit(ModelFound(path, spec.control_period, spec.bridge_id))
        except (BridgeError, OSError) as error:
            self._submit(ModelMissing(str(error)))

    def _on_description(self, description: String) -> None:
        try:
            path = ModelStore().put({"robot.urdf": for_mujoco(description.data).encode()})
        except (BridgeError, OSError) as error:
            self._submit(ModelMissing(str(error)))
            return
        self._submit(ModelFound(path, self._settings.period_s))

    def _on_state(self, state: m.SimState, info: dict[str, int]) -> None:
        self._submit(StateArrived(from_state_msg(state), info["source_timestamp"]))

    def _on_joints(self, message: JointState, info: dict[str, int]) -> None:
        state = self._joints.on_joints(
            from_time(message.header.stamp), message.name, message.position, message.velocity
        )
        if state is not None:
            self._submit(StateArrived(state, info["source_timestamp"]))

    def _on_command(self, message: JointState, info: dict[str, int]) -> None:
        if len(message.name) == len(message.position):
            positions = np.array(message.position)
            sent_ns = info["source_timestamp"]
            self._submit(CommandArrived(tuple(message.name), positions, sent_ns))

    def _on_bases(self, message: TFMessage) -> None:
        for parent, child, pose in frames(message.transforms):
            self._joints.tf.put(parent, child, pose)

    def _on_tf(self, message: TFMessage, info: dict[str, int]) -> None:
        for time_s, links in link_poses(message.transforms, names.WORLD_FRAME):
            self._submit(LinksArrived(time_s, links, info["source_timestamp"]))
