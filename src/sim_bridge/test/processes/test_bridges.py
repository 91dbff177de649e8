"""Several bridges at once, from the launch file and from the executable."""

import os
import shutil
import signal
import sys
from pathlib import Path

import gymnasium
import numpy as np
import pytest

from sim_bridge import RemoteVectorEnv
from sim_bridge.processes.bridges import commands
from sim_bridge.processes.testing import Process, free_domain_id, wait_until

pytestmark = pytest.mark.process

ROOT = Path(__file__).parents[4]
WAIT_S = 90.0
SO101 = ["--ros-args", "-p", "simulator:=mujoco", "-p", "task:=so101"]


def children(pid):
    """Process ids below ``pid``, whatever their session."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    found, level = set(), {pid}
    while level:
        level = {child for child, parent in parents.items() if parent in level}
        found |= level
    return found


def alive(pids):
    return {pid for pid in pids if Path(f"/proc/{pid}").exists()}


def test_namespaces_go_below_the_given_one():
    words = ["--ros-args", "-r", "__ns:=/lab/", "-p", "task:=x"]
    first, second = commands(2, "env_", words)
    assert first[3:6] == ["--ros-args", "-r", "__ns:=/lab/env_0"] and first[6:] == words[1:]
    assert second[5] == "__ns:=/lab/env_1"
    assert commands(1, "sim", [])[0][3:] == ["--ros-args", "-r", "__ns:=/sim0"]


@pytest.fixture(scope="module")
def launched(tmp_path_factory):
    """The launch file with three bridges: its process and their domain."""
    if not (ROOT / ".venv").exists() and not shutil.which("ros2"):
        pytest.skip("the workspace is not built: make setup")
    domain_id = free_domain_id()
    command = [sys.executable, ROOT / "tools/launch", ROOT / "launch/vector.launch.xml"]
    command += ["count:=3", "simulator:=mujoco", "task:=so101"]
    log = tmp_path_factory.mktemp("vector") / "launch.log"
    with Process(command, log=log, env={"ROS_DOMAIN_ID": str(domain_id)}) as process:
        yield process, domain_id


def test_a_launch_file_starts_as_many_as_wanted_and_ends_them(launched):
    process, domain_id = launched
    envs = gymnasium.make_vec(
        "twinstep/Remote-v0", 3, domain_id=domain_id, connect_timeout_s=WAIT_S, timeout_s=30.0
    )
    assert isinstance(envs, RemoteVectorEnv)
    try:
        envs.reset(seed=[1, 1, 2])
        low = envs.envs[0].sim_spec.action.low
        action = np.tile(0.1 * low, (3, 1)).astype(np.float32)
        envs.step(action)
        assert {env.sim_spec.task for env in envs.envs} == {"so101"}
        assert len({env.sim_spec.bridge_id for env in envs.envs}) == 3
    finally:
        envs.close()
    pids = children(process.pid)
    assert len(pids) == 4
    assert process.stop() == 130
    wait_until(lambda: not alive(pids), WAIT_S, "the end of the bridges")


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL, "one dies"])
def test_none_outlives_the_others_or_who_started_them(how, tmp_path):
    environment = {"ROS_DOMAIN_ID": str(free_domain_id())}
    with Process.module(
        "sim_bridge.processes.bridges",
        "--count",
        "2",
        *SO101,
        log=tmp_path / "log",
        env=environment,
    ) as process:
        wait_until(lambda: process.output().count("actions every") == 2, WAIT_S, "both bridges")
        pids = children(process.pid)
        if how == "one dies":
            os.kill(min(pids), signal.SIGKILL)
            assert process.wait(WAIT_S) == 128 + signal.SIGKILL
            assert "one ended with SIGKILL" in process.output()
        else:
            os.kill(process.pid, how)
            assert process.wait(WAIT_S) == (0 if how == signal.SIGTERM else -signal.SIGKILL)
        wait_until(lambda: not alive(pids), WAIT_S, "the end of the bridges")
