"""Simulators by name, with and without a task, shipped and from elsewhere."""

import pytest

from sim_bridge.errors import InvalidRequest, NotFound
from sim_bridge.processes.testing import Process, free_domain_id, wait_until
from sim_bridge.simulators.registry import default_task, open_simulator

_LOCAL = ("gymnasium", "mujoco", "sapien", "synthetic")

_OUTSIDE = """
from sim_bridge.simulators.synthetic import SyntheticSimulator

def open_two(task, *, kwargs, image_width, image_height):
    return SyntheticSimulator(task or "two", {"joints": 2, **kwargs}, image_width, image_height)

NUMBER = 3
"""


@pytest.fixture
def outside(tmp_path, monkeypatch):
    (tmp_path / "outside_simulator.py").write_text(_OUTSIDE)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", _LOCAL)
def test_each_simulator_has_a_task_of_its_own(name):
    simulator = open_simulator(name, image_width=64, image_height=48)
    assert simulator.spec.task == default_task(name) != ""
    simulator.close()


def test_a_function_of_another_module(outside):
    simulator = open_simulator("python:outside_simulator:open_two", kwargs={"cameras": 1})
    assert simulator.spec.task == "two" and simulator.spec.action.size == 2
    assert [camera.width for camera in simulator.spec.cameras] == [640]


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("mujocco", NotFound, "unknown simulator 'mujocco'; valid: gymnasium, mujoco, .*'mujoco'"),
        ("python:outside_simulator:open_tow", NotFound, "valid: .*open_two"),
        ("python:outside_simulator:NUMBER", InvalidRequest, "int, not a function"),
        ("python:nowhere_to_be_found:f", NotFound, "module 'nowhere_to_be_found'"),
        ("python:outside_simulator", InvalidRequest, "valid: MODULE:FUNCTION"),
    ],
)
def test_what_cannot_be_opened_is_named(outside, name, error, message):
    with pytest.raises(error, match=message):
        open_simulator(name)


@pytest.mark.process
@pytest.mark.parametrize("name", ["mujoco", "sapien", "synthetic"])
def test_a_bridge_needs_nothing_but_the_simulators_name(tmp_path, name):
    environment = {"ROS_DOMAIN_ID": str(free_domain_id())}
    arguments = ["--ros-args", "-p", f"simulator:={name}"]
    with Process.module("sim_bridge", *arguments, log=tmp_path / "log", env=environment) as bridge:
        wait_until(lambda: "actions every" in bridge.output(), 60.0, "start")
        assert f"{default_task(name)} in {name}" in bridge.output()
