"""The monitor as a process beside a real bridge, without a browser."""

import json
import re
import signal
import sys
from pathlib import Path

import httpx
import numpy as np
import pytest
import rclpy
import simplejpeg
from rclpy.context import Context
from rclpy.node import Node
from sensor_msgs.msg import CompressedImage, Image
from websockets.sync.client import connect

from sim_bridge.client.bridge_client import BridgeClient
from sim_bridge.processes.testing import Process, free_domain_id, wait_until
from sim_bridge.ros import qos
from sim_bridge.ros.images import encode_jpeg, to_image_msg

pytestmark = pytest.mark.process

TIMEOUT_S = 60.0
STAND_IN = Path(__file__).with_name("monitor_stand_in.py")


@pytest.fixture(scope="module")
def domain():
    return free_domain_id()


@pytest.fixture(scope="module")
def env(domain):
    return {"ROS_DOMAIN_ID": str(domain)}


@pytest.fixture(scope="module")
def simulator(tmp_path_factory, env):
    log = tmp_path_factory.mktemp("simulator") / "log"
    with Process([sys.executable, STAND_IN], log=log, env=env) as process:
        yield process


def start(log, env, *parameters):
    words = [word for p in ("port:=0", *parameters) for word in ("-p", p)]
    return Process.module("mujoco_mirror.monitor", "--ros-args", *words, log=log, env=env)


def base_of(process):
    wait_until(lambda: "#token=" in process.output() or not process.running, TIMEOUT_S, "the URL")
    return re.search(r"(http://\S+)/#token=", process.output()).group(1)


def headers_of(process):
    return {"Authorization": "Bearer " + re.search(r"#token=(\S+)", process.output()).group(1)}


@pytest.fixture(scope="module")
def monitor(tmp_path_factory, env, simulator):
    with start(tmp_path_factory.mktemp("monitor") / "log", env) as process:
        base_of(process)
        yield process


@pytest.fixture
def node(domain):
    context = Context()
    rclpy.init(context=context, domain_id=domain)
    node = Node("test", context=context)
    yield node
    node.destroy_node()
    context.try_shutdown()


def act(process, command):
    url = f"{base_of(process)}/api/commands/{command}"
    return httpx.post(url, headers=headers_of(process), timeout=TIMEOUT_S)


def watch(process, path):
    return connect(base_of(process).replace("http", "ws", 1) + path)


def status_of(viewer):
    return json.loads(viewer.recv(timeout=TIMEOUT_S))["status"]


def test_reset_leaves_control_free_for_the_next_client(monitor, node):
    answer = act(monitor, "reset")
    assert answer.status_code == 200, answer.text
    bridge = BridgeClient(node, client_id="somebody", timeout_s=TIMEOUT_S)
    bridge.wait_for_bridge(TIMEOUT_S)
    assert bridge.acquire().holder == "somebody"
    bridge.release()
    bridge.close()


def test_reset_is_refused_by_name_while_another_client_keeps_control(
    tmp_path, env, simulator, node
):
    bridge = BridgeClient(node, client_id="colleague", timeout_s=TIMEOUT_S)
    bridge.wait_for_bridge(TIMEOUT_S)
    bridge.acquire(lease_s=300.0)
    with start(tmp_path / "log", env, "command_timeout_s:=1.0") as process:
        answer = act(process, "reset")
    bridge.release()
    bridge.close()
    assert answer.status_code == 409, answer.text
    assert "colleague" in answer.json()["message"]


def test_stop_with_nothing_running_says_so(monitor):
    answer = act(monitor, "stop")
    assert (answer.status_code, answer.json()["message"]) == (200, "Nothing was running.")


def test_reset_without_a_simulator_says_so(tmp_path):
    nowhere = {"ROS_DOMAIN_ID": str(free_domain_id())}
    with start(tmp_path / "log", nowhere, "command_timeout_s:=1.0") as process:
        answer = act(process, "reset")
        assert answer.status_code == 504
        assert "no bridge" in answer.json()["message"]
        assert act(process, "mark_success").status_code == 409


def test_an_idle_simulator_is_not_lost(monitor):
    act(monitor, "reset")
    with watch(monitor, "/ws/data") as viewer:
        wait_until(lambda: status_of(viewer)["link"] == "idle", TIMEOUT_S, "idle")
        links = {status_of(viewer)["link"] for _ in range(8)}
    assert "lost" not in links


def test_a_compressed_picture_is_preferred_and_passed_through(tmp_path, env, node):
    topic = "some_camera/image_raw"
    raw = node.create_publisher(Image, topic, qos.IMAGES)
    with start(tmp_path / "log", env, f"image_topic:={topic}") as process:
        with watch(process, "/ws/video") as viewer:
            dark = np.full((48, 64, 3), 20, np.uint8)
            wait_until(lambda: raw.get_subscription_count(), TIMEOUT_S, "raw is subscribed")
            raw.publish(to_image_msg(dark))
            assert simplejpeg.decode_jpeg(viewer.recv(timeout=TIMEOUT_S)).mean() == pytest.approx(
                20, abs=2
            )
            viewer.send("")
            compressed = node.create_publisher(CompressedImage, f"{topic}/compressed", qos.IMAGES)
            wait_until(
                lambda: compressed.get_subscription_count(), TIMEOUT_S, "compressed is subscribed"
            )
            wait_until(lambda: not raw.get_subscription_count(), TIMEOUT_S, "raw is let go")
            message = encode_jpeg(np.full((48, 64, 3), 200, np.uint8))
            compressed.publish(message)
            assert viewer.recv(timeout=TIMEOUT_S) == bytes(message.data)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_cleanly_with_viewers_on_it(tmp_path, env, simulator, number):
    with start(tmp_path / "log", env) as process:
        with watch(process, "/ws/data") as data, watch(process, "/ws/video"):
            status_of(data)
            process.signal(number)
            assert process.wait(20.0) in (0, -number)
        assert "Traceback" not in process.output()


def test_a_taken_port_moves_to_the_next_free_one_and_says_so(tmp_path, env):
    with start(tmp_path / "first", env, "port:=0") as first:
        taken = httpx.URL(base_of(first)).port or 0
        with start(tmp_path / "second", env, f"port:={taken}") as second:
            base = base_of(second)
            port = httpx.URL(base).port or 0
            assert f"port {taken} is in use; serving on {port}" in second.output()
            assert taken < port and httpx.get(base).status_code == 200


def test_an_address_that_is_not_ours_is_named(tmp_path, env):
    with start(tmp_path / "log", env, "host:=192.0.2.1") as process:
        assert process.wait(TIMEOUT_S) == 2
    assert "cannot serve on 192.0.2.1:" in process.output()


def test_a_wrong_parameter_is_named_with_what_is_valid(tmp_path, env):
    with start(tmp_path / "log", env, "video_rate_hz:=0.0") as process:
        assert process.wait(TIMEOUT_S) == 2
    assert "video_rate_hz is 0.0; valid: 0.1 to 120" in process.output()
