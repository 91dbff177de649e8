"""Camera topics of a bridge, with the synthetic simulator's cheap pictures."""

import numpy as np
import pytest
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from tf2_msgs.msg import TFMessage

from sim_bridge.bridge.cameras import CameraPublishers
from sim_bridge.bridge.parameters import BridgeParameters
from sim_bridge.client.bridge_client import BridgeClient
from sim_bridge.errors import InvalidRequest, OperationFailed, TimedOut
from sim_bridge.processes.testing import Process, wait_until
from sim_bridge.ros import qos
from sim_bridge.ros.calls import Receiver
from sim_bridge.ros.convert import from_time
from sim_bridge.ros.images import decode_jpeg, from_image_msg
from sim_bridge.simulators.mujoco.simulator import MujocoSimulator
from sim_bridge.simulators.synthetic import SyntheticSimulator

pytestmark = pytest.mark.process

TIMEOUT_S = 60.0
OPTIONS = (
    "image_width:=64",
    "image_height:=48",
    "camera_rate_hz:=30.0",
    "camera.camera1.rate_hz:=10.0",
)


@pytest.fixture(scope="module")
def bridge(domain_id, tmp_path_factory):
    log = tmp_path_factory.mktemp("cameras") / "bridge.log"
    args = ["--ros-args", "-p", "simulator:=synthetic", "-p", "task:=cameras"]
    for option in OPTIONS:
        args += ["-p", option]
    env = {"ROS_DOMAIN_ID": str(domain_id)}
    with Process.module("sim_bridge", *args, log=log, env=env) as process:
        yield process


@pytest.fixture
def client(bridge, node):
    client = BridgeClient(node, timeout_s=TIMEOUT_S)
    client.wait_for_bridge(TIMEOUT_S)
    yield client
    client.release()
    client.close()


@pytest.fixture
def listen(node):
    receivers = []

    def listener(msg_type, topic):
        receiver = Receiver(node, msg_type, topic, qos.IMAGES)
        receivers.append(receiver)
        wait_until(lambda: node.count_publishers(topic), TIMEOUT_S, f"publisher of {topic}")
        return receiver

    yield listener
    for receiver in receivers:
        receiver.destroy()


def first(receiver, act):
    """Repeat ``act`` until something arrives: discovery takes its time."""

    def arrived():
        act()
        try:
            return receiver.take(0.5)
        except TimedOut:
            return None

    return wait_until(arrived, TIMEOUT_S, "first message")


def drain(receiver):
    """What is still under way."""
    while True:
        try:
            receiver.take(1.0)
        except TimedOut:
            return


def take(receiver, count):
    return [receiver.take(TIMEOUT_S) for _ in range(count)]


def reference():
    simulator = SyntheticSimulator("cameras", image_width=64, image_height=48)
    simulator.reset(seed=0)
    return simulator


def test_raw_pictures_show_the_step_they_are_stamped_with(client, listen):
    receiver = listen(Image, "camera/camera0/image_raw")
    first(receiver, lambda: client.reset(seed=0))
    drain(receiver)
    client.reset(seed=0)
    messages = take(receiver, 1)
    for _ in range(3):
        client.step(np.zeros((3, 6)))  # one request: the scene moves on under the publisher
        messages += take(receiver, 3)
    simulator = reference()
    for step, message in enumerate(messages):
        if step:
            simulator.step(np.zeros(6))
        assert from_time(message.header.stamp) == pytest.approx(step / 30, abs=1e-6)
        assert message.header.frame_id == "camera0_optical_frame"
        image, expected = from_image_msg(message), simulator.render("camera0")
        np.testing.assert_array_equal(image[1:], expected[1:])  # the first row holds the time


def test_jpeg_pictures(client, listen):
    receiver = listen(CompressedImage, "camera/camera2/image_raw/compressed")
    message = first(receiver, lambda: client.reset(seed=0))
    assert "jpeg" in message.format and message.header.frame_id == "camera2_optical_frame"
    image = decode_jpeg(message)
    assert image.shape == (48, 64, 3)
    expected = reference().render("camera2").astype(int)
    assert np.abs(image.astype(int) - expected)[8:].mean() < 12


def test_each_camera_has_its_own_rate(client, listen):
    receiver = listen(Image, "camera/camera1/image_raw")
    first(receiver, lambda: client.reset(seed=0))
    drain(receiver)
    client.reset(seed=0)
    messages = take(receiver, 1)
    for _ in range(10):
        client.step(np.zeros((3, 6)))
        messages += take(receiver, 1)
    stamps = [from_time(message.header.stamp) for message in messages]
    assert stamps == pytest.approx([i / 10 for i in range(11)], abs=1e-6)


def test_camera_info_alone_and_matching_the_spec(client, listen):
    receiver = listen(CameraInfo, "camera/camera0/camera_info")
    message = first(receiver, lambda: client.reset(seed=0))
    assert (message.width, message.height) == (64, 48)
    assert message.distortion_model == "plumb_bob"
    assert list(message.k) == [48.0, 0, 31.5, 0, 48.0, 23.5, 0, 0, 1]
    assert list(message.p[:3]) == [48.0, 0, 31.5] and message.p[11] == 0


class Counting(SyntheticSimulator):
    def __init__(self):
        super().__init__("cameras", {"cameras": 2}, 64, 48)
        self.drawn = []

    def render(self, camera):
        self.drawn.append(camera)
        return super().render(camera)


def test_nothing_is_drawn_that_nobody_listens_to(node):
    simulator = Counting()
    publishers = CameraPublishers(node, simulator, BridgeParameters())
    assert not publishers.heard()
    publishers.publish(0.0)
    info = Receiver(node, CameraInfo, "camera/camera0/camera_info", qos.IMAGES)
    wait_until(publishers.heard, TIMEOUT_S, "camera_info subscription")
    publishers.publish(0.1)
    assert info.take(TIMEOUT_S)
    assert simulator.drawn == []
    jpeg = Receiver(node, CompressedImage, "camera/camera1/image_raw/compressed", qos.IMAGES)
    wait_until(
        lambda: node.count_subscribers("camera/camera1/image_raw/compressed"), TIMEOUT_S, "jpeg"
    )
    publishers.publish(0.2)
    assert jpeg.take(TIMEOUT_S)
    assert simulator.drawn == ["camera1"]
    jpeg.destroy()
    info.destroy()


def test_a_machine_that_cannot_draw_goes_on_without_pictures(node):
    class Blind(Counting):
        def render(self, camera):
            super().render(camera)
            raise OperationFailed("no OpenGL")

    simulator = Blind()
    publishers = CameraPublishers(node, simulator, BridgeParameters())
    raw = Receiver(node, Image, "camera/camera0/image_raw", qos.IMAGES)
    wait_until(publishers.heard, TIMEOUT_S, "subscription")
    publishers.publish(0.0)
    publishers.publish(1.0)
    assert simulator.drawn == ["camera0", "camera0"]
    raw.destroy()


@pytest.mark.parametrize(
    "option, message",
    [
        ("jpeg_quality:=0", "jpeg_quality is 0; valid: 1 to 100"),
        ("camera.camera1.rate_hz:=-2.0", "camera.camera1.rate_hz is -2.0; valid: 0 or more"),
    ],
)
def test_bad_camera_parameters_end_the_bridge(tmp_path, domain_id, option, message):
    args = ["--ros-args", "-p", "simulator:=synthetic", "-p", option]
    env = {"ROS_DOMAIN_ID": str(domain_id)}
    with Process.module("sim_bridge", *args, log=tmp_path / "log", env=env) as process:
        assert process.wait(TIMEOUT_S) == 2
        assert message in process.output()


def test_bad_synthetic_options_are_named():
    with pytest.raises(InvalidRequest, match="unknown option 'camera'; valid: cameras, joints"):
        SyntheticSimulator("cameras", {"camera": 2})


def test_tf_in_the_middle_of_a_chunk_is_that_of_its_stamp(domain_id, node, tmp_path):
    args = ["--ros-args", "-p", "simulator:=mujoco", "-p", "task:=so101", "-r", "__ns:=/arm"]
    env = {"ROS_DOMAIN_ID": str(domain_id)}
    with Process.module("sim_bridge", *args, log=tmp_path / "log", env=env):
        client = BridgeClient(node, namespace="arm", timeout_s=TIMEOUT_S)
        client.wait_for_bridge(TIMEOUT_S)
        receiver = Receiver(node, TFMessage, "arm/tf", qos.ROBOT_STATE)
        first(receiver, lambda: client.reset(seed=0))
        drain(receiver)
        actions = np.full((6, 6), 0.5)
        client.reset(seed=0)
        client.step(actions)
        messages = take(receiver, 7)
        receiver.destroy()
        client.close()
    simulator = MujocoSimulator("so101")
    simulator.reset(seed=0)
    for step, message in enumerate(messages):
        if step:
            simulator.step(actions[0])
        links = simulator.link_poses()
        assert [t.child_frame_id for t in message.transforms] == list(links.names)
        found = [t.transform.translation for t in message.transforms]
        np.testing.assert_array_equal([[p.x, p.y, p.z] for p in found], links.poses[:, :3])
    simulator.close()
