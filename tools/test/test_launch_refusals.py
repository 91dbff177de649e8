"""A wrong word in an argument of a launch file: one line, and nothing is started."""

from __future__ import annotations

from pathlib import Path

import pytest
from launch_runner.cli import main

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted(path.name.split(".")[0] for path in (ROOT / "launch").glob("*.launch.xml"))
EVERY = [
    ("namespace:=a b", "namespace is 'a b'; valid: letters, digits"),
    ("namespace:=1st", "namespace is '1st'; valid: letters, digits"),
    ("network:=lann", "is 'lann'; valid: local, lan; did you mean 'lan'?"),
    ("dds:=/no/such.xml", "no Fast DDS profiles file '/no/such.xml'"),
    ("namespac:=a", "no argument 'namespac'; valid: ", "did you mean 'namespace'?"),
    ("namespace", "argument is 'namespace'; valid: name:=value"),
]
SOME = [
    ("demo", "domain:=233", "the ROS domain is '233'; valid: 0 to 232"),
    ("demo", "domain:=abc", "the ROS domain is 'abc'; valid: 0 to 232"),
    ("demo", "monitor:=maybe", "condition is 'maybe'; valid: true, false"),
    ("mirror", "monitor:=maybe", "condition is 'maybe'; valid: true, false"),
    ("isaac", "physics:=physix", "is 'physix'; valid: physx, newton; did you mean 'physx'?"),
]
CASES = [*((file, *case) for file in FILES for case in EVERY), *SOME]


@pytest.mark.parametrize(("file", "word", "parts"), [(f, w, p) for f, w, *p in CASES])
def test_a_wrong_word_is_refused_in_one_line(file, word, parts, capfd, monkeypatch):
    monkeypatch.setenv("ROS_DOMAIN_ID", "0")
    monkeypatch.setattr("launch_runner.cli.Supervisor", None)  # to start anything would fail
    assert main([str(ROOT / f"launch/{file}.launch.xml"), word]) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("[launch] ") and all(part in line for part in parts)


def test_what_the_launcher_refuses_is_in_order_otherwise(capfd):
    """The test above could pass because of something else."""
    for file in FILES:
        assert main(["--print", str(ROOT / f"launch/{file}.launch.xml"), "namespace:=a/b_2"]) == 0
