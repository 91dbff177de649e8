"""A bridge process of its own domain, and a node beside it."""

import os

import pytest
import rclpy
from rclpy.context import Context
from rclpy.node import Node

from sim_bridge.errors import TimedOut
from sim_bridge.processes.testing import Process, free_domain_id, wait_until

START_TIMEOUT_S = 60.0


@pytest.fixture(scope="module")
def domain_id():
    return free_domain_id()


@pytest.fixture(scope="module")
def bridge(domain_id, tmp_path_factory):
    """A running bridge with the default task."""
    log = tmp_path_factory.mktemp("bridge") / "bridge.log"
    env = {"ROS_DOMAIN_ID": str(domain_id)}
    with Process.module("sim_bridge", log=log, env=env) as process:
        yield process


@pytest.fixture
def node(domain_id):
    context = Context()
    rclpy.init(context=context, domain_id=domain_id)
    node = Node("test", context=context)
    yield node
    node.destroy_node()
    context.try_shutdown()


def _state_or_none(client):
    """A first answer is lost when the bridge has not yet discovered who asks."""
    try:
        return client.get_state()
    except TimedOut:
        return None


@pytest.fixture
def replay_on(tmp_path):
    """Replay a file with the command, on a bridge of its own: what it printed, the last state."""
    import subprocess
    import sys

    from sim_bridge.client.bridge_client import BridgeClient

    domain_id = free_domain_id()  # not the module's: its bridge would answer as well
    context = Context()
    rclpy.init(context=context, domain_id=domain_id)
    node = Node("test", context=context)
    environment = {"ROS_DOMAIN_ID": str(domain_id)}

    def run(simulator, task, file, *words, options="", status=0):
        arguments = ["--ros-args", "-p", f"simulator:={simulator}", "-p", f"task:={task}"]
        if options:
            arguments += ["-p", f"task_options:='{options}'"]
        log = tmp_path / "bridge.log"
        with Process.module("sim_bridge", *arguments, log=log, env=environment):
            command = [
                sys.executable,
                "-m",
                "sim_bridge.trajectories.replay_command",
                str(file),
                *map(str, words),
            ]
            done = subprocess.run(
                command,
                env={**os.environ, **environment},
                capture_output=True,
                text=True,
                timeout=2 * START_TIMEOUT_S,
            )
            assert done.returncode == status, done.stdout + done.stderr
            if status:
                return done.stderr, None
            client = BridgeClient(node, timeout_s=5.0)
            client.wait_for_bridge(START_TIMEOUT_S)
            state = wait_until(lambda: _state_or_none(client), START_TIMEOUT_S, "the state")
            client.close()
            return done.stdout, state

    yield run
    node.destroy_node()
    context.try_shutdown()
