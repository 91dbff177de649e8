"""``launch/params`` and the dataclasses of the nodes hold the same parameters."""

from dataclasses import fields
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

from mujoco_mirror.monitor.parameters import MonitorParameters
from mujoco_mirror.node.parameters import MirrorParameters
from policy_node.node.outward.outward import ServeParameters, Serving
from policy_node.node.parameters import PolicyParameters, RolloutParameters
from policy_node.policies.registry import DEFAULT_POLICY
from sim_bridge.bridge.parameters import BridgeParameters, CameraParameters, camera_prefix
from sim_bridge.settings.parameters import describe
from sim_bridge.simulators.registry import default_task

FOLDER = Path(__file__).parents[2] / "launch" / "params"
FILES = sorted(path.name for path in FOLDER.glob("*.yaml"))
# These say all of their nodes, as they are by default; the others say what a simulator needs.
COMPLETE = ("mirror.yaml", "policy.yaml", "sim.yaml")
# One for each protocol, and off: a file need not name them.
FOR_A_PROTOCOL = {f.name for f in fields(ServeParameters)} - {f.name for f in fields(Serving)}
CLASSES = {
    "sim_bridge": (BridgeParameters,),
    "policy_node": (PolicyParameters, ServeParameters),
    "rollout": (RolloutParameters,),
    "mujoco_mirror": (MirrorParameters,),
    "monitor": (MonitorParameters,),
}


def nodes(file):
    content = yaml.safe_load((FOLDER / file).read_text())
    return {
        name.removeprefix("/**/"): part["ros__parameters"] for name, part in content.items()
    }.items()


@pytest.mark.parametrize("file", FILES)
def test_each_value_is_a_valid_one_of_a_declared_parameter(file):
    for node, values in nodes(file):
        known = {info.name: info for cls in CLASSES[node] for info in describe(cls)}
        assert values.keys() <= known.keys()
        for name, value in values.items():
            known[name].check(value)


@pytest.mark.parametrize("file", COMPLETE)
def test_nothing_is_missing_and_values_are_the_defaults(file):
    for node, values in nodes(file):
        infos = [info for cls in CLASSES[node] for info in describe(cls)]
        expected = {info.name: info.default for info in infos if info.name not in FOR_A_PROTOCOL}
        assert values == expected


def arguments(launch_file):
    args = ElementTree.parse(launch_file).iter("arg")
    return {arg.get("name"): arg.get("default") for arg in args}


def test_the_default_policy_is_the_same_in_each_launch_file():
    found = {p.name: arguments(p).get("policy") for p in FOLDER.parent.glob("*.launch.xml")}
    assert found.pop("isaac.launch.xml") == "expert"  # the file says why
    assert {value for value in found.values() if value} == {DEFAULT_POLICY}


def test_the_default_task_is_the_simulators_own():
    found = {p.name: arguments(p) for p in FOLDER.parent.glob("*.launch.xml")}
    isaac_lab = default_task("isaac_lab")
    assert found.pop("isaac.launch.xml")["task"] == isaac_lab  # its command line takes no empty one
    assert {given["task"] for given in found.values() if "task" in given} == {""}
    for file in ("isaac_physx.yaml", "isaac_newton.yaml"):
        (parameters,) = (values for _, values in nodes(file))
        assert parameters["task"] == isaac_lab


def test_the_parameters_of_one_camera_are_shown():
    text = (FOLDER / "sim.yaml").read_text()
    for info in describe(CameraParameters, camera_prefix("front")):
        assert f"# {info.name}: " in text
