"""A bridge process of its own domain, and a node beside it."""

import pytest
import rclpy
from rclpy.context import Context
from rclpy.node import Node
from sim_bridge import conformance
from sim_bridge.testing import Process, free_domain_id

START_TIMEOUT_S = 60.0


@pytest.fixture(scope="module")
def domain_id():
    return free_domain_id()


@pytest.fixture(scope="module")
def bridge(domain_id, tmp_path_factory):
    """A running bridge with the default task."""
    log = tmp_path_factory.mktemp("bridge") / "bridge.log"
    env = {"ROS_DOMAIN_ID": str(domain_id)}
    with Process.module("sim_bridge.node", log=log, env=env) as process:
        yield process


@pytest.fixture
def node(domain_id):
    context = Context()
    rclpy.init(context=context, domain_id=domain_id)
    node = Node("test", context=context)
    yield node
    node.destroy_node()
    context.try_shutdown()


def pytest_terminal_summary(terminalreporter):
    skipped = {
        f"{report.nodeid.rpartition('[')[2].rstrip(']')} ({str(report.longrepr[2]).removeprefix('Skipped: ')})"
        for report in terminalreporter.getreports("skipped")
        if "TestConformance" in report.nodeid and "no Python module" in str(report.longrepr)
    }
    if conformance.tested:
        terminalreporter.write_line(
            f"conformance: {', '.join(conformance.tested)}"
            + (f"; skipped: {', '.join(sorted(skipped))}" if skipped else "")
        )
