"""100 000 steps by clients that are killed in mid-call: the bridge ends where a local run ends."""

import contextlib
import json
import random
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sim_bridge.client.bridge_client import BridgeClient
from sim_bridge.processes.testing import Process, free_domain_id
from sim_bridge.simulators.registry import open_simulator

pytestmark = pytest.mark.process

STEPS = 100_000
KILLED_AFTER = (4_000, 7_000)  # steps of one client's life
TASK = "so101"
OPTIONS = {"control_period_s": 0.002}  # one engine step per control step
SCRIPT = Path(__file__).with_name("fire_client.py")


@pytest.fixture(scope="module")
def domain_id():
    return free_domain_id()


@pytest.fixture(scope="module")
def bridge(domain_id, tmp_path_factory):
    options = json.dumps(OPTIONS)
    arguments = ["simulator:=mujoco", f"task:={TASK}", f"task_options:='{options}'"]
    words = [word for argument in arguments for word in ("-p", argument)]
    log = tmp_path_factory.mktemp("fire") / "bridge.log"
    env = {"ROS_DOMAIN_ID": str(domain_id)}
    with Process.module("sim_bridge", "--ros-args", *words, log=log, env=env) as process:
        yield process


class _Client:
    """A client process, connected and waiting to be let loose."""

    def __init__(self, domain_id: int) -> None:
        command = [sys.executable, str(SCRIPT), str(domain_id), str(STEPS)]
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self._process: Any = subprocess.Popen(command, **pipes)

    def run_until(self, step: int) -> int:
        """Let it step; kill it in mid-call once it says ``step`` or more. What it said last."""
        lines = map(str.strip, self._process.stdout)
        # Fast DDS logs to the same stream when a killed process left a lock behind.
        words = (word for word in lines if word == "ready" or word.isdigit())
        assert next(words, "nothing") == "ready"
        self._process.stdin.write("go\n")
        self._process.stdin.flush()
        said = 0
        for word in words:
            said = int(word)
            if said >= step:
                break
        self.kill()
        return said

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        self._process.stdin.close()
        self._process.stdout.close()


@pytest.mark.timeout(600)
def test_the_bridge_ends_where_a_local_run_ends(bridge, domain_id, node):
    chance = random.Random(1)
    said, lives = 0, 0
    with contextlib.ExitStack() as stack:
        following = _Client(domain_id)
        while said < STEPS:
            client, following = following, _Client(domain_id)
            stack.callback(client.kill)
            stack.callback(following.kill)
            said = client.run_until(min(STEPS, said + chance.randint(*KILLED_AFTER)))
            lives += 1
    assert lives > 14
    asker = BridgeClient(node)
    asker.wait_for_bridge(60.0)
    there = asker.get_state()
    here = _local_run()
    assert (there.episode, there.step) == (1, STEPS)
    for field in ("joint_positions", "joint_velocities", "body_poses", "body_twists", "native"):
        assert np.array_equal(getattr(there, field), getattr(here, field)), field
    assert there.time_s == pytest.approx(here.time_s, abs=1e-9), "a stamp has nanoseconds"


def _local_run():
    script = runpy.run_path(str(SCRIPT))
    simulator = open_simulator("mujoco", TASK, kwargs=OPTIONS)
    simulator.reset(seed=script["SEED"])
    action, step = simulator.spec.action, 0
    while step < STEPS:
        for row in script["chunk_after"](step, action.low, action.high, STEPS):
            simulator.step(row)
            step += 1
    return simulator.state(native=True)
