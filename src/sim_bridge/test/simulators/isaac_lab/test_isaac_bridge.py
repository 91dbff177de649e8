"""Isaac Lab hosted by a real bridge process: the wire, the way it ends, and what it costs."""

import os
import time
from importlib.util import find_spec
from statistics import median
from typing import Any

import numpy as np
import pytest

from sim_bridge.client.env import RemoteEnv
from sim_bridge.processes.testing import Process, free_domain_id

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(
        find_spec("isaaclab") is None,
        reason="isaaclab is not installed here: run `make test-isaac`",
    ),
]

ENGINE = os.environ.get("TWINSTEP_ISAAC_PHYSICS", "physx")
TASK = "SO101PickPlace-JointPosition-v0"
# Kernels are compiled at the first start on a machine.
START_S = 300.0
STEPS = 40
CHUNKS = 5
REACH = np.array([0.3, -0.3, 0.4, 0.5, 0.2, 0.6])


def bridge(log, domain_id, task=TASK, options=f'{{"physics": "{ENGINE}"}}'):
    arguments: tuple[str, ...] = ("--ros-args", "-p", "simulator:=isaac_lab", "-p", f"task:={task}")
    arguments += ("-p", f"task_options:={options!r}")
    env = {"ROS_DOMAIN_ID": str(domain_id)}
    return Process.module("sim_bridge", *arguments, log=log, env=env)


@pytest.fixture(scope="module")
def env(tmp_path_factory):
    domain_id = free_domain_id()
    log = tmp_path_factory.mktemp("isaac") / "bridge.log"
    with bridge(log, domain_id) as process:
        env: Any = RemoteEnv(domain_id=domain_id, connect_timeout_s=START_S, timeout_s=60.0)
        env.process = process
        yield env
        env.close()


def test_steps_move_the_arm_of_the_other_process(env):
    assert env.sim_spec.simulator == "isaac_lab" and ENGINE in env.sim_spec.simulator_version
    env.reset(seed=0)
    start = env.get_state()
    for _ in range(15):
        env.step(REACH)
    state = env.get_state()
    assert state.time_s == pytest.approx(1.5)
    positions = dict(zip(state.joint_names, state.joint_positions, strict=True))
    for name, target in zip(env.sim_spec.action.names, REACH, strict=True):
        assert positions[name] == pytest.approx(target, abs=0.06), name
    assert np.abs(start.joint_positions).max() < 1e-6


def test_a_state_is_restored_over_the_wire(env):
    env.reset(seed=4)
    for _ in range(5):
        env.step(REACH)
    wanted = env.get_state()
    env.reset(seed=5)
    env.set_state(wanted)
    state = env.get_state()
    np.testing.assert_allclose(state.joint_positions, wanted.joint_positions, atol=1e-6)
    np.testing.assert_allclose(state.body_poses, wanted.body_poses, atol=1e-6)


def test_the_bridge_adds_little_to_a_step(env):
    """Beyond the simulator's own time, in the median; the budget is for a quiet machine."""
    env.reset(seed=0)
    added, inside = [], []
    for _ in range(STEPS):
        start = time.perf_counter()
        env.step(REACH)
        added.append(time.perf_counter() - start - env.sim_wall_time_s)
        inside.append(env.sim_wall_time_s)
    env.reset(seed=0)
    chunked = []
    for _ in range(CHUNKS):
        start = time.perf_counter()
        env.step_chunk(np.tile(REACH, (16, 1)))
        chunked.append((time.perf_counter() - start - env.sim_wall_time_s) / 16)
    print(
        f"{ENGINE}: {1 / median(inside):.1f} steps/s in process, "
        f"{1 / (median(inside) + median(added)):.1f} through the bridge; "
        f"bridge adds {median(added) * 1e3:.2f} ms a step, "
        f"{median(chunked) * 1e3:.3f} ms in a chunk of 16"
    )
    assert median(added) < 0.05 * median(inside) + 0.005


def test_the_process_ends_on_interrupt(env):
    assert env.process.stop(timeout_s=30.0) in (0, -2, 130), env.process.output()[-2000:]


def test_a_task_that_does_not_exist_ends_the_bridge_with_its_name(tmp_path):
    with bridge(tmp_path / "bridge.log", free_domain_id(), task="Isaac-Nothing-v0") as process:
        assert process.wait(START_S) == 2
        assert "unknown task 'Isaac-Nothing-v0'" in process.output()
        assert "SO101PickPlace-v0" in process.output()
