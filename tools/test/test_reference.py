"""docs/reference says what the sources say, and the sources what a running bridge does."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from reference_pages.cli import stale
from reference_pages.parameters import NODES
from reference_pages.topics import endpoints, wire_name

pytestmark = pytest.mark.process

ROOT = Path(__file__).resolve().parents[2]
START_TIMEOUT_S = 60.0


def test_every_page_is_up_to_date():
    done = subprocess.run(
        [sys.executable, ROOT / "tools/reference", "--check"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_a_stale_page_is_named_with_the_difference(tmp_path):
    (tmp_path / "same.md").write_text("as it is\n")
    (tmp_path / "old.md").write_text("| speed | 3 |\n")
    wanted = {"same.md": "as it is\n", "old.md": "| speed | 4 |\n", "new.md": "new\n"}
    found = stale(tmp_path, wanted)
    assert sorted(found) == ["new.md", "old.md"]
    assert "-| speed | 3 |" in found["old.md"] and "+| speed | 4 |" in found["old.md"]


def test_pages_name_no_place_of_this_machine():
    pages = sorted((ROOT / "docs/reference").glob("*.md"))
    assert len(pages) >= 5
    for page in pages:
        assert str(ROOT) not in page.read_text() and str(Path.home()) + "/" not in page.read_text()


def test_every_dataclass_that_a_node_reads_is_in_the_reference():
    listed = {target.partition(":")[2] for targets in NODES.values() for target in targets}
    read = set()
    for path in (p for p in ROOT.glob("src/*/*/**/*.py") if "/test/" not in str(p)):
        read |= set(re.findall(r"read_parameters\(\w+, (\w+)\)", path.read_text()))
    assert read and read <= listed | {"cls"}


def test_a_running_bridge_offers_what_the_reference_says(tmp_path):
    pytest.importorskip("rclpy")
    from rclpy.context import Context
    from rclpy.node import Node, NodeNameNonExistentError

    from sim_bridge.processes.testing import Process, free_domain_id, wait_until

    topics, services = _said_of("sim_bridge")
    domain_id = free_domain_id()
    context = Context()
    context.init(domain_id=domain_id)
    node = Node("onlooker", context=context)

    def offered() -> tuple[set[str], set[str]]:
        try:
            published = node.get_publisher_names_and_types_by_node("sim_bridge", "/")
            served = node.get_service_names_and_types_by_node("sim_bridge", "/")
        except NodeNameNonExistentError:
            return set(), set()
        own = {re.sub("camera/camera[0-9]", "camera/NAME", name) for name, _ in published}
        return own - {"/rosout", "/parameter_events"}, {
            name for name, _ in served if not name.startswith("/sim_bridge/")
        }

    what = f"topics {sorted(topics)} and services {sorted(services)}, no others"
    words = ("--ros-args", "-p", "simulator:=synthetic", "-p", "mode:=real_time")
    environment = {**os.environ, "ROS_DOMAIN_ID": str(domain_id)}
    log = tmp_path / "bridge.log"
    try:
        with Process.module("sim_bridge", *words, log=log, env=environment):
            wait_until(lambda: offered() == (topics, services), START_TIMEOUT_S, what)
    finally:
        node.destroy_node()
        context.shutdown()


def _said_of(program: str) -> tuple[set[str], set[str]]:
    """Topics that it publishes and services that it offers, as in the root namespace."""
    found = endpoints(ROOT / "src")
    return tuple(
        {
            f"/{wire_name(key)}".replace("//", "/")
            for key, e in found.items()
            if program in e.programs[v]
        }
        for v in ("publishes", "offers")
    )
