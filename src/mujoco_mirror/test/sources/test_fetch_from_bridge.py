"""A model with meshes beside its folder: from a real bridge, and posed by its states."""

import shutil
from pathlib import Path

import mujoco
import numpy as np
import pytest
import rclpy
from rclpy.context import Context
from rclpy.node import Node
from tf2_msgs.msg import TFMessage

from mujoco_mirror.model.mirror import Mirror
from mujoco_mirror.sources.model_fetch import fetch_model
from mujoco_mirror.sources.model_store import ModelStore
from mujoco_mirror.sources.transforms import link_poses
from sim_bridge import names
from sim_bridge.client.bridge_client import BridgeClient
from sim_bridge.errors import TimedOut
from sim_bridge.processes.testing import Process, free_domain_id, wait_until
from sim_bridge.ros import qos
from sim_bridge.ros.calls import Receiver

pytestmark = pytest.mark.process

ODD_ROBOT = Path(__file__).parents[3] / "sim_bridge" / "test" / "simulators" / "odd_robot"


@pytest.fixture
def bridge_node(tmp_path):
    """A node beside a bridge whose scene is no longer on disk."""
    folder = tmp_path / "odd_robot"
    shutil.copytree(ODD_ROBOT, folder)
    domain_id = free_domain_id()
    task = f"task:={folder}/scenes/scene.xml"
    words = ["--ros-args", "-p", "simulator:=mujoco", "-p", task]
    context = Context()
    rclpy.init(context=context, domain_id=domain_id)
    node = Node("mirror", context=context)
    environment = {"ROS_DOMAIN_ID": str(domain_id)}
    with Process.module("sim_bridge", *words, log=tmp_path / "log", env=environment) as bridge:
        wait_until(lambda: "actions every" in bridge.output(), 60.0, "start")
        shutil.rmtree(folder)
        yield node
    node.destroy_node()
    context.try_shutdown()


def test_the_received_model_takes_the_bridges_states(bridge_node, tmp_path):
    path = ModelStore(tmp_path / "cache").put(fetch_model(bridge_node))
    mirror = Mirror(mujoco.MjModel.from_xml_path(str(path)), strict=True)
    tf = Receiver(bridge_node, TFMessage, names.TF, qos.ROBOT_STATE)
    client = BridgeClient(bridge_node, timeout_s=30.0)
    client.wait_for_bridge(30.0)
    client.reset(seed=3)

    states = {}

    def step():
        """A state and the transforms of its time, once they are heard."""
        state = client.step(np.array([[0.5, 1.0]])).state
        states[round(state.time_s, 6)] = state
        try:
            ((time_s, links),) = link_poses(tf.take(0.5).transforms, names.WORLD_FRAME)
        except TimedOut:
            return None
        return (states[round(time_s, 6)], links) if round(time_s, 6) in states else None

    state, links = wait_until(step, 30.0, "transforms")
    mirror.apply(state)
    shown = mirror.link_poses(links.names)
    assert shown.names == links.names and len(links.names) == 6
    np.testing.assert_allclose(shown.poses[:, :3], links.poses[:, :3], atol=1e-9)
    turned = np.abs(np.sum(shown.poses[:, 3:] * links.poses[:, 3:], axis=1))
    np.testing.assert_allclose(turned, 1.0, atol=1e-9)
    client.close()
