"""Fields that know their description and their valid values."""

import math
from dataclasses import dataclass

import pytest

from sim_bridge.errors import InvalidRequest
from sim_bridge.settings.parameters import check, describe, help_text, parameter


@dataclass(frozen=True)
class Arm:
    speed_hz: float = parameter(30.0, "how often it moves [Hz]", above=0.0, high=120.0)
    reach_px: int = parameter(64, "size of its world [px]", low=32, high=128, step=2)
    tries: int = parameter(1, "how often it tries", low=0)
    gripper: str = parameter("soft", "what it holds with", choices=lambda: ("soft", "hard"))
    quiet: bool = parameter(False, "say nothing")
    label: str = parameter("", "what it is called")

    def __post_init__(self) -> None:
        check(self)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"speed_hz": 0.0}, "parameter speed_hz is 0.0; valid: above 0, to 120"),
        ({"speed_hz": 120.5}, "parameter speed_hz is 120.5; valid: above 0, to 120"),
        ({"speed_hz": math.nan}, "parameter speed_hz is nan; valid: above 0, to 120"),
        ({"speed_hz": math.inf}, "parameter speed_hz is inf"),
        ({"speed_hz": "fast"}, "parameter speed_hz is 'fast'; valid: a number"),
        ({"reach_px": 31}, "parameter reach_px is 31; valid: 32 to 128, in steps of 2"),
        ({"reach_px": 33}, "parameter reach_px is 33; valid: 32 to 128, in steps of 2"),
        ({"reach_px": 64.0}, "parameter reach_px is 64.0; valid: a whole number"),
        ({"tries": -1}, "parameter tries is -1; valid: 0 or more"),
        ({"tries": True}, "parameter tries is True; valid: a whole number"),
        ({"gripper": "wet"}, "parameter gripper is 'wet'; valid: soft, hard"),
        ({"quiet": 1}, "parameter quiet is 1; valid: true or false"),
        ({"label": 7}, "parameter label is 7; valid: text"),
    ],
)
def test_what_is_not_valid_is_named_with_what_is(values, message):
    with pytest.raises(InvalidRequest) as caught:
        Arm(**values)
    assert str(caught.value).startswith(message)


def test_the_edges_of_ranges_are_valid():
    Arm(speed_hz=120.0, reach_px=32, tries=0, gripper="hard")
    Arm(speed_hz=3, reach_px=128)


def test_parameters_are_listed_without_an_instance():
    infos = {info.name: info for info in describe(Arm, prefix="left.")}
    assert list(infos) == [
        f"left.{name}" for name in ("speed_hz", "reach_px", "tries", "gripper", "quiet", "label")
    ]
    assert infos["left.gripper"].choices == ("soft", "hard")
    assert infos["left.tries"].type is int and infos["left.tries"].low == 0
    assert all(info.description and info.read_only for info in infos.values())


def test_the_help_shows_description_default_and_valid_values():
    text = help_text(describe(Arm))
    assert (
        "  reach_px\n      size of its world [px] (default: 64; valid: 32 to 128, in steps" in text
    )
    assert "say nothing (default: false)" in text and "is called (default: '')" in text
