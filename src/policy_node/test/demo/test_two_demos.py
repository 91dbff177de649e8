"""Demos beside each other on one machine: each in a domain of its own, with a page of its own."""

import json
import os
import re
import shutil
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from sim_bridge.processes.testing import Process, free_domain_id, wait_until

ROOT = Path(__file__).parents[4]
COMMAND = [sys.executable, ROOT / "tools/launch", ROOT / "launch/demo.launch.xml"]
DEADLINE_S = 120.0

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(
        not (ROOT / ".venv").exists() and not shutil.which("ros2"),
        reason="the workspace is not built: make setup",
    ),
]


def test_two_demos_at_once_both_succeed(tmp_path, monkeypatch):
    monkeypatch.delenv("ROS_DOMAIN_ID", raising=False)
    command = [*COMMAND, f"output:={tmp_path / 'output'}"]
    with ExitStack() as stack:
        demos = [
            stack.enter_context(Process(command, log=tmp_path / name))
            for name in ("first", "second")
        ]
        for demo in demos:
            assert demo.wait(DEADLINE_S) == 0, demo.output()
    said = [demo.output() for demo in demos]
    for told in (r"ROS_DOMAIN_ID=(\d+)", r"watch at http://127.0.0.1:(\d+)/"):
        (first,), (second,) = (re.findall(told, text)[:1] for text in said)
        assert first != second
    assert not any(b"\r" in demo.log.read_bytes() for demo in demos)
    folders = list((tmp_path / "output").iterdir())
    summaries = [json.loads((folder / "summary.json").read_text()) for folder in folders]
    assert [summary["success"] for summary in summaries] == [True, True]
    assert len({pid for summary in summaries for pid in summary["pids"].values()}) == 6


def test_a_chosen_domain_is_kept_and_company_in_it_refused(tmp_path):
    domain = free_domain_id()
    bridge = ["--ros-args", "-p", "simulator:=mujoco", "-p", "task:=so101"]
    env = {**os.environ, "ROS_DOMAIN_ID": str(domain)}
    with Process.module("sim_bridge", *bridge, log=tmp_path / "bridge", env=env) as other:
        wait_until(lambda: "actions every" in other.output(), DEADLINE_S, "the other simulator")
        with Process([*COMMAND, f"output:={tmp_path}"], log=tmp_path / "demo", env=env) as demo:
            assert demo.wait(DEADLINE_S) == 2, demo.output()
    assert "ROS_DOMAIN_ID=" not in demo.output()
    assert f"2 simulators in ROS domain {domain} publish /spec" in demo.output()
