"""``examples/packages``: built, installed, served; and the pages that show them."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import numpy as np
import pytest
import rclpy
from rclpy.action import ActionClient
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from sim_interfaces.action import Rollout

from sim_bridge.client.env import RemoteEnv
from sim_bridge.errors import OK
from sim_bridge.processes.testing import Process, free_domain_id, wait_until

pytestmark = pytest.mark.process

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ROOT / "examples" / "packages"
PAGES = {
    "add-a-simulator.md": (
        "slider_simulator/slider_simulator.py",
        "slider_simulator/pyproject.toml",
        "slider_simulator/test_slider.py",
    ),
    "add-a-task.md": (
        "reach_task/reach_task/reach.xml",
        "reach_task/reach_task/__init__.py",
        "reach_task/pyproject.toml",
    ),
    "add-a-policy-server.md": ("jsonl_policy/jsonl_policy.py", "jsonl_policy/pyproject.toml"),
    "add-a-chunk-strategy.md": ("halves/halves.py", "halves/pyproject.toml"),
}
# What pip does for a local folder with --no-deps --no-build-isolation --target, without pip.
BUILD = "import sys, setuptools.build_meta as b; print(b.build_wheel(sys.argv[1]))"


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The environment in which all packages are installed."""
    folder = tmp_path_factory.mktemp("packages")
    for package in sorted(path.name for path in PACKAGES.iterdir()):
        source = folder / "source" / package
        shutil.copytree(PACKAGES / package, source)
        command = [sys.executable, "-c", BUILD, str(folder)]
        subprocess.run(command, cwd=source, check=True, capture_output=True, timeout=120)
    target = folder / "target"
    for wheel in folder.glob("*.whl"):
        zipfile.ZipFile(wheel).extractall(target)
    return {"PYTHONPATH": f"{target}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}


def serve(installed, log, *arguments):
    """A bridge process with these parameters, and an environment on it."""
    domain_id = free_domain_id()
    words = ["--ros-args", *(word for given in arguments for word in ("-p", given))]
    environment = {**installed, "ROS_DOMAIN_ID": str(domain_id)}
    return Process.module("sim_bridge", *words, log=log, env=environment), domain_id


@pytest.mark.parametrize("name", ["slider", "python:slider_simulator:SliderSimulator"])
def test_a_simulator_of_another_package_is_served(installed, tmp_path, name):
    options = "task_options:='{\"quickness\": 20}'"
    process, domain_id = serve(installed, tmp_path / "log", f"simulator:={name}", options)
    with process:
        env = RemoteEnv(domain_id=domain_id, connect_timeout_s=60.0, timeout_s=30.0)
        assert (env.sim_spec.simulator, env.sim_spec.task) == ("slider", "rail")
        env.reset(seed=1)
        for _ in range(10):
            position, reward, *_ = env.step(np.array([0.5], np.float32))
        assert position["position"][0] == pytest.approx(0.5, abs=1e-3)
        assert reward == pytest.approx(-0.5, abs=1e-3)
        env.close()


def test_it_passes_the_suite_that_it_inherits(installed):
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:launch_testing",
         "-p", "no:launch_ros", "--rootdir", str(PACKAGES / "slider_simulator"), "-c", os.devnull,
         str(PACKAGES / "slider_simulator" / "test_slider.py")],
        env={**os.environ, **installed},
        capture_output=True,
        text=True,
        timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(re.search(r"(\d+) passed", done.stdout)[1]) > 15, done.stdout


def test_a_task_of_another_package_is_served(installed, tmp_path):
    process, domain_id = serve(installed, tmp_path / "log", "task:=reach_task:Reach-v0")
    with process:
        env = RemoteEnv(domain_id=domain_id, connect_timeout_s=60.0, timeout_s=30.0)
        spec = env.sim_spec
        assert spec.max_episode_steps == 100 and spec.control_period_s == pytest.approx(0.05)
        observation, _ = env.reset(seed=2)
        goal = np.arctan2(observation[5], observation[4])
        before = env.get_state()
        for _ in range(100):
            observation, _, terminated, truncated, info = env.step(
                np.array([goal - 0.8, 1.6], np.float32)
            )
            if terminated or truncated:
                break
        start = env.set_state(before)
        assert start[4:].tolist() == pytest.approx([0.4 * np.cos(goal), 0.4 * np.sin(goal)])
        assert env.render().std() > 1
        env.close()


@pytest.mark.parametrize("simulator", ["mujoco", "sapien"])
def test_its_scene_is_served_without_the_task(installed, tmp_path, simulator):
    task = "task:=package://reach_task/reach.xml"
    process, domain_id = serve(installed, tmp_path / "log", f"simulator:={simulator}", task)
    with process:
        env = RemoteEnv(domain_id=domain_id, connect_timeout_s=60.0, timeout_s=30.0)
        assert env.sim_spec.max_episode_steps == 0
        env.reset(seed=0)
        for _ in range(60):
            observation, *_ = env.step(np.array([0.5, -0.5], np.float32))
        np.testing.assert_allclose(observation["joint_positions"], [0.5, -0.5], atol=0.05)
        env.close()


class JsonLinesServer:
    """Answers a chunk of four actions that lead the slider to 0.5, and remembers the questions."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self.asked: list[list[float]] = []

    def run(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection, connection.makefile("rw") as stream:
            for line in stream:
                self.asked.append(json.loads(line)["joints"])
                stream.write(json.dumps([[0.5]] * 4) + "\n")
                stream.flush()


@pytest.fixture
def json_lines():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = JsonLinesServer(listener)
        threading.Thread(target=server.run, daemon=True).start()
        yield server, listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("strategy", ["first_half", "python:halves:make"])
def test_a_policy_server_and_a_strategy_of_other_packages_do_an_episode(
    installed, tmp_path, json_lines, strategy
):
    """The whole graph as processes: the simulator is another package's, too."""
    server, port = json_lines
    bridge, domain_id = serve(installed, tmp_path / "bridge", "simulator:=slider")
    env = {**installed, "ROS_DOMAIN_ID": str(domain_id)}
    policy = f"policy:=jsonl://127.0.0.1:{port}?timeout_s=20"
    options = ("strategy:=" + strategy, "strategy_options:='{\"least\": 3}'")
    words = [word for option in options for word in ("-p", option)]
    node = Process.module(
        "policy_node", "--ros-args", "-p", policy, log=tmp_path / "policy", env=env
    )
    rollout = Process.module(
        "policy_node.rollout", "--ros-args", *words, log=tmp_path / "rollout", env=env
    )
    with bridge, node, rollout:
        wait_until(lambda: len(server.asked) == 2, 60.0, "the policy node warms up")
        result = run_goal(domain_id, Rollout.Goal(episodes=1, max_steps=12))
    assert result.result.code == OK, result.result.message
    assert result.episodes[0].steps == 12
    asked = server.asked[2:]
    assert len(asked) == 4  # every third step of four; open loop asks three times
    assert asked[0][0] == pytest.approx(0.0, abs=0.2) and asked[-1][0] > asked[0][0]


def run_goal(domain_id: int, goal: Rollout.Goal) -> Rollout.Result:
    context = Context()
    rclpy.init(context=context, domain_id=domain_id)
    node = Node("test", context=context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    client = ActionClient(node, Rollout, "rollout")
    try:
        wait_until(client.server_is_ready, 60.0, "the rollout node")
        sent = client.send_goal_async(goal)
        executor.spin_until_future_complete(sent, 60.0)
        done = sent.result().get_result_async()
        executor.spin_until_future_complete(done, 60.0)
        return done.result().result
    finally:
        node.destroy_node()
        context.try_shutdown()


@pytest.mark.parametrize("page", PAGES)
def test_the_page_shows_the_files(page):
    text = (ROOT / "docs" / "how-to" / page).read_text()
    blocks = re.findall(r"```(?:python|toml|xml)\n(.*?)```", text, re.DOTALL)
    assert blocks == [(PACKAGES / name).read_text() for name in PAGES[page]]
