"""A mirror process that has no copy of the model: it gets it over ROS, from a bridge or a robot."""

import hashlib
import json
import threading
from array import array

import numpy as np
import pytest
import rclpy
from mirror_scenes import TWO_ARMS, state
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from sensor_msgs.msg import Image, JointState
from sim_interfaces import msg as m
from sim_interfaces import srv
from std_msgs.msg import String
from tf2_msgs.msg import TFMessage

from sim_bridge import names
from sim_bridge.files.model_files import sha256_of
from sim_bridge.processes.testing import Process, free_domain_id, wait_until
from sim_bridge.ros import qos
from sim_bridge.ros.calls import Caller
from sim_bridge.ros.convert import to_state_msg, to_time, to_transforms
from sim_bridge.types import LinkPoses

pytestmark = pytest.mark.process

START_S = 120.0
FILES = {
    "scene.xml": b'<mujoco><include file="arms/two.xml"/></mujoco>',
    "arms/two.xml": TWO_ARMS.encode(),
}
URDF = """
<robot name="rover">
  <link name="base_link"><visual><geometry><box size="0.4 0.3 0.1"/></geometry>
    <material name="r"><color rgba="0.9 0.2 0.1 1"/></material></visual></link>
  <link name="mast"><visual><origin xyz="0 0 0.2"/><geometry><box size="0.1 0.1 0.4"/></geometry>
    <material name="g"><color rgba="0.1 0.8 0.2 1"/></material></visual></link>
  <joint name="lift" type="prismatic"><parent link="base_link"/><child link="mast"/>
    <axis xyz="0 0 1"/><limit lower="0" upper="1" effort="1" velocity="1"/></joint>
</robot>
"""


@pytest.fixture
def graph(tmp_path):
    """A spinning node, and a function that starts a mirror process with parameters beside it."""
    domain_id = free_domain_id()
    context = Context()
    rclpy.init(context=context, domain_id=domain_id)
    node, caller_node = Node("robot", context=context), Node("caller", context=context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    thread = threading.Thread(target=executor.spin, daemon=True)
    thread.start()
    env = {"ROS_DOMAIN_ID": str(domain_id), "XDG_CACHE_HOME": str(tmp_path / "cache")}

    def mirror(*parameters):
        words = ["width:=160", "height:=120", "quality:=fast", *parameters]
        words = ["--ros-args", *(w for word in words for w in ("-p", word))]
        return Process.module("mujoco_mirror", *words, log=tmp_path / "mirror.log", env=env)

    yield node, caller_node, mirror
    executor.shutdown()
    thread.join(10.0)
    context.try_shutdown()


def _serve_model(node):
    def answer(request, response):
        response.result.code = m.Result.OK
        response.main_file = "scene.xml"
        for path in [request.path] if request.path else sorted(FILES):
            data = FILES[path] if request.path else b""
            digest = hashlib.sha256(FILES[path]).hexdigest()
            file = m.File(path=path, size=len(FILES[path]), sha256=digest, data=array("B", data))
            response.files.append(file)
        return response

    node.create_service(srv.GetModel, names.GET_MODEL, answer)


def test_the_bridge_hands_out_the_model_and_the_picture_follows(graph, tmp_path):
    node, caller_node, mirror = graph
    _serve_model(node)
    spec = node.create_publisher(m.SimSpec, names.SPEC, qos.LATCHED)
    states = node.create_publisher(m.SimState, names.STATE, qos.EVERY_STEP)
    uri = "package://package_that_is_not_here/scene.xml"
    model = m.ModelReference(format="mjcf", uri=uri, sha256=sha256_of(FILES))
    spec.publish(m.SimSpec(bridge_id="b", control_period=0.05, model=model))
    with mirror() as process:
        record = Caller(caller_node, srv.Record, names.RECORD)
        assert record.wait_for_service(START_S), process.output()
        request = srv.Record.Request(command=srv.Record.Request.START, timeout=START_S)
        request.directory = str(tmp_path / "film")
        reply = record.call(request, START_S)
        assert reply.result.code == m.Result.OK, reply.result.message + process.output()
        for step in range(1, 6):
            joints = {"left/shoulder": 0.1 * step, "right/elbow": -0.1 * step}
            now = state(joints, episode=1, step=step, time_s=0.05 * step)
            states.publish(to_state_msg(now))
        request = srv.Record.Request(command=srv.Record.Request.STOP, timeout=60.0)
        request.until_episode, request.until_step = 1, 5
        reply = record.call(request, 90.0)
    assert reply.frames == 5, reply.result.message
    assert json.loads(reply.summary_json)["joint_error_max_rad"] == 0.0
    assert (tmp_path / "cache/twinstep/models" / sha256_of(FILES) / "files/arms/two.xml").is_file()


def test_any_robot_is_shown_from_its_description_joint_states_and_tf(graph):
    node, _, mirror = graph
    description = node.create_publisher(String, "robot_description", qos.LATCHED)
    description.publish(String(data=URDF))
    joints = node.create_publisher(JointState, names.JOINT_STATES, qos.ROBOT_STATE)
    tf = node.create_publisher(TFMessage, names.TF, qos.ROBOT_STATE)
    pictures = []
    node.create_subscription(Image, names.MIRROR_IMAGE, pictures.append, qos.IMAGES)
    count = 0

    def green():
        pixels = np.frombuffer(pictures[-1].data, np.uint8).reshape(120, 160, 3).astype(int)
        return np.mean((pixels[..., 1] > 90) & (pixels[..., 1] > 1.6 * pixels[..., 0]))

    def turned_to(yaw):
        nonlocal count
        count += 1
        pose = np.array([[0, 0, 0.05, 0, 0, np.sin(yaw / 2), np.cos(yaw / 2)]])
        tf.publish(
            TFMessage(transforms=to_transforms(LinkPoses(("base_link",), pose), 0.01 * count))
        )
        message = JointState(name=["lift"], position=[0.2])
        message.header.stamp = to_time(0.01 * count)
        joints.publish(message)
        return bool(pictures)

    with mirror("model:=robot_description", "source:=joint_states", "bases:=base_link") as process:
        wait_until(lambda: turned_to(0.0), START_S, "a picture of the robot")
        assert green() > 0.01, process.output()
        first = bytes(pictures[-1].data)
        wait_until(
            lambda: (
                turned_to(0.8)
                and np.mean(
                    np.frombuffer(first, np.uint8) != np.frombuffer(pictures[-1].data, np.uint8)
                )
                > 0.02
            ),
            60.0,
            "the base to turn with tf",
        )
