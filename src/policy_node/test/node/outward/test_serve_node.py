"""A bridge and a policy node as processes; the policy reached without ROS."""

from __future__ import annotations

import re

import numpy as np
import pytest
import rclpy
from rclpy.context import Context
from rclpy.node import Node
from sim_interfaces import msg

from policy_node.policies.registry import open_policy
from policy_node.rollout.policy_client import PolicyClient
from sim_bridge import names
from sim_bridge.client.bridge_client import BridgeClient
from sim_bridge.errors import InvalidRequest
from sim_bridge.processes.testing import Process, free_domain_id, wait_until
from sim_bridge.ros import qos
from sim_bridge.ros.calls import Receiver
from sim_bridge.ros.convert_spec import from_spec_msg

pytestmark = pytest.mark.process

DEADLINE_S = 90.0
TOKEN = "hands off"
PORT_PARAMETERS = ("serve_openpi_port", "serve_groot_zmq_port", "serve_groot_http_port")


@pytest.fixture(scope="module")
def graph(tmp_path_factory):
    logs = tmp_path_factory.mktemp("logs")
    env = {"ROS_DOMAIN_ID": str(free_domain_id()), "POLICY_NODE_TOKEN": TOKEN}
    values = ("policy:=expert", *(f"{name}:=0" for name in PORT_PARAMETERS))
    words = [word for value in values for word in ("-p", value)]
    with (
        Process.module("sim_bridge", log=logs / "bridge", env=env),
        Process.module("policy_node", "--ros-args", *words, log=logs / "policy", env=env),
    ):
        yield int(env["ROS_DOMAIN_ID"]), logs / "policy"


@pytest.fixture
def node(graph):
    context = Context()
    rclpy.init(context=context, domain_id=graph[0])
    node = Node("test", context=context)
    yield node
    node.destroy_node()
    context.try_shutdown()


def served_addresses(log) -> list[str]:
    return re.findall(r"serving .* at ((?:ws|zmq|http)://[\d.:]+)", log.read_text())


def test_every_way_to_the_policy_gives_the_same_chunk(graph, node):
    """ROS, openpi, GR00T over ZMQ and HTTP: one worker behind them all."""
    bridge = BridgeClient(node, timeout_s=DEADLINE_S)
    bridge.wait_for_bridge(DEADLINE_S)
    spec = from_spec_msg(Receiver(node, msg.SimSpec, names.SPEC, qos.LATCHED).take(DEADLINE_S))
    observation = bridge.reset(seed=3).observation
    bridge.release()
    policy = PolicyClient(node, timeout_s=DEADLINE_S)
    policy.wait_for_policy(DEADLINE_S)
    expected = policy.infer(observation)
    assert expected.shape[1] == spec.action.size
    addresses = wait_until(
        lambda: len(found := served_addresses(graph[1])) == 3 and found, DEADLINE_S, "three servers"
    )
    for address in addresses:
        source = open_policy(f"{address}?token={TOKEN}", spec)
        chunk = source.for_client("one").infer(observation)
        np.testing.assert_allclose(chunk, expected, atol=1e-5, err_msg=address)
        source.close()
        with pytest.raises(InvalidRequest, match="refuses this token"):
            open_policy(f"{address}?token=guess", spec).for_client("two").infer(observation)


def test_a_token_is_required_at_start(tmp_path):
    env = {"ROS_DOMAIN_ID": str(free_domain_id()), "POLICY_NODE_TOKEN": ""}
    words = ("--ros-args", "-p", "serve_openpi_port:=0")
    log = tmp_path / "log"
    with Process.module("policy_node", *words, log=log, env=env) as process:
        wait_until(lambda: not process.running, DEADLINE_S, "the node ends")
    assert "needs a token (environment variable POLICY_NODE_TOKEN)" in log.read_text()
