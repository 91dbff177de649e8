"""Options of a dataclass from a mapping and from text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from sim_bridge.errors import InvalidRequest
from sim_bridge.settings.options import parse_options, read_options
from sim_bridge.settings.parameters import parameter


@dataclass(frozen=True)
class Lens:
    fovy_deg: float = parameter(45.0, "field of view", above=0.0, high=179.0)
    at: tuple[float, ...] = (0.0, 0.0)


@dataclass(frozen=True)
class Arm:
    joints: int = parameter(6, "how many", low=1, high=9)
    gain: float = parameter(1.0, "of the drives", low=0.0)
    engine: str = parameter("physx", "which", choices=("physx", "newton"))
    fixed: bool = parameter(True, "stands fixed")
    seed: int | None = None
    names: tuple[str, ...] = ()
    overrides: list[str] = field(default_factory=list)
    entities: Mapping[str, str] = field(default_factory=dict)
    scale: Mapping[str, float] = field(default_factory=dict)
    lenses: Mapping[str, Lens] = field(default_factory=dict)


def test_values_take_the_types_of_the_fields():
    read = read_options(
        Arm,
        {
            "gain": 2,
            "seed": None,
            "names": ["a", "b"],
            "overrides": ["x=1"],
            "lenses": {"top": {"fovy_deg": 60, "at": [1, 2.5]}},
        },
    )
    assert read == Arm(
        gain=2.0, names=("a", "b"), overrides=["x=1"], lenses={"top": Lens(60.0, (1.0, 2.5))}
    )
    assert type(read.gain) is float


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"joint": 3}, "unknown arm option 'joint'; valid: joints, .*; did you mean 'joints'?"),
        ({"joints": 0}, "arm option joints is 0; valid: 1 to 9"),
        ({"joints": 3.0}, "arm option joints is 3.0; valid: a whole number"),
        ({"joints": True}, "arm option joints is True; valid: a whole number"),
        ({"gain": "2"}, "arm option gain is '2'; valid: a number"),
        ({"gain": float("nan")}, "arm option gain is nan"),
        ({"engine": "bullet"}, "arm option engine is 'bullet'; valid: physx, newton"),
        ({"fixed": 1}, "arm option fixed is 1; valid: true or false"),
        ({"seed": "x"}, "arm option seed is 'x'; valid: a whole number"),
        ({"names": "a,b"}, "arm option names is 'a,b'; valid: a list"),
        ({"names": [1]}, "arm option names is .1.; valid: text"),
        ({"entities": ["a"]}, "arm option entities is .'a'.; valid: a mapping"),
        ({"lenses": {"top": {"fov": 3}}}, "unknown option of lenses 'top' 'fov'; valid: fovy_deg"),
        ({"lenses": {"top": {"fovy_deg": 0}}}, "option of lenses 'top' fovy_deg is 0.0; valid: ab"),
        ({"lenses": {"top": 3}}, "option of lenses 'top's: 3 is not a mapping"),
        ([1], "arm options: .1. is not a mapping"),
    ],
)
def test_what_does_not_fit_is_named(values, message):
    with pytest.raises(InvalidRequest, match=message):
        read_options(Arm, values, "arm option")


def test_text_is_parsed_by_the_types_of_the_fields():
    texts = {"joints": "3", "gain": "0.5", "seed": "7", "names": "a,b", "scale": "x/y:2,*:0.5"}
    assert parse_options(Arm, texts) == Arm(
        joints=3, gain=0.5, seed=7, names=("a", "b"), scale={"x/y": 2.0, "*": 0.5}
    )


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ({"joints": "three"}, "option joints is 'three'; valid: a whole number"),
        ({"joints": "12"}, "option joints is 12; valid: 1 to 9"),
        ({"scale": "x"}, "option scale is 'x'; valid: NAME:VALUE"),
        ({"scale": "x:y"}, "option scale is 'x:y'; valid: a number"),
    ],
)
def test_text_that_does_not_fit_is_named(texts, message):
    with pytest.raises(InvalidRequest, match=message):
        parse_options(Arm, texts)
