"""Dataclasses of parameters on a node."""

from dataclasses import dataclass

import pytest
from rcl_interfaces.msg import ParameterType
from rclpy.node import Node
from rclpy.parameter import Parameter

from sim_bridge.errors import InvalidRequest
from sim_bridge.ros.parameters import Report, declare_pid, read_parameters
from sim_bridge.settings.parameters import check, parameter


@dataclass(frozen=True)
class Arm:
    speed_hz: float = parameter(30.0, "how often it moves [Hz]", above=0.0)
    reach_px: int = parameter(64, "size of its world [px]", low=32, high=128, step=2)
    gripper: str = parameter("soft", "what it holds with", choices=("soft", "hard"))
    label: str = parameter("", "what it is called", read_only=False)

    def __post_init__(self) -> None:
        check(self)


@pytest.fixture
def make_node(node):
    nodes = []

    def make(*words):
        arguments = ["--ros-args", *(w for word in words for w in ("-p", word))]
        nodes.append(Node("arm", context=node.context, cli_args=arguments))
        return nodes[-1]

    yield make
    for made in nodes:
        made.destroy_node()


def test_values_come_from_the_command_line_or_the_defaults(make_node):
    node = make_node("speed_hz:=5", "gripper:=hard", "left.reach_px:=34")
    assert read_parameters(node, Arm) == Arm(speed_hz=5.0, gripper="hard")
    left = read_parameters(node, Arm, "left.", label="lefty")
    assert left == Arm(reach_px=34, label="lefty")
    assert node.get_parameter("left.reach_px").value == 34
    assert node.get_parameter("speed_hz").type_ == Parameter.Type.DOUBLE


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("speed_hz:=0.0", "parameter speed_hz is 0.0; valid: above 0"),
        ("speed_hz:=fast", "parameter speed_hz is 'fast'; valid: a number"),
        ("reach_px:=33", "parameter reach_px is 33; valid: 32 to 128, in steps of 2"),
        ("gripper:=wet", "parameter gripper is 'wet'; valid: soft, hard"),
        ("label:=7", "parameter label is 7; valid: text"),
    ],
)
def test_a_bad_value_is_an_error_of_ours(make_node, word, message):
    with pytest.raises(InvalidRequest, match=message):
        read_parameters(make_node(word), Arm)


def test_descriptors_tell_what_is_valid(make_node):
    node = make_node()
    read_parameters(node, Arm)
    speed, reach, gripper, label = node.describe_parameters(
        ["speed_hz", "reach_px", "gripper", "label"]
    )
    assert speed.description == "how often it moves [Hz]"
    assert speed.floating_point_range[0].from_value == 0.0
    assert speed.additional_constraints == "valid: above 0"
    assert speed.type == ParameterType.PARAMETER_DOUBLE and not speed.dynamic_typing
    whole = reach.integer_range[0]
    assert (whole.from_value, whole.to_value, whole.step) == (32, 128, 2)
    assert gripper.additional_constraints == "valid: soft, hard"
    assert [d.read_only for d in (speed, reach, gripper, label)] == [True, True, True, False]


def test_what_is_read_once_cannot_be_set(make_node):
    node = make_node()
    read_parameters(node, Arm)
    results = node.set_parameters(
        [Parameter("gripper", value="hard"), Parameter("label", value="new")]
    )
    assert [result.successful for result in results] == [False, True]
    assert "read-only" in results[0].reason
    assert node.get_parameter("gripper").value == "soft"


def test_a_report_is_told_by_the_node_alone(make_node):
    node = make_node()
    report = Report(node, "mood", "calm", "how it feels")
    declare_pid(node)
    report.tell("merry")
    results = node.set_parameters([Parameter("mood", value="sad"), Parameter("pid", value=1)])
    assert [result.successful for result in results] == [False, False]
    assert node.get_parameter("mood").value == "merry"
