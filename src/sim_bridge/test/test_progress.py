"""A program with stages, its output in a file and on a terminal."""

import sys

import pytest

from sim_bridge import progress
from sim_bridge.processes.testing import Process, wait_until

PROGRAM = """
from sim_bridge.progress import Stage, track
for _ in track(range(3), "drawing", "frame"):
    pass
with Stage("collecting", "episode", total=4, done=1, keep=False) as stage:
    stage.advance(success="1/2")
    stage.reach(4, success="2/4")
"""
COMMAND = [sys.executable, "-c", PROGRAM]


@pytest.mark.process
def test_a_file_gets_one_line_for_each_stage(tmp_path):
    with Process(COMMAND, log=tmp_path / "log") as process:
        assert process.wait(30.0) == 0
    assert b"\r" not in process.log.read_bytes()
    first, second = process.output().splitlines()
    assert first.startswith("drawing: 3 frames in ")
    assert second.startswith("collecting: 4 episodes in ") and second.endswith("s, success 2/4")


@pytest.mark.process
def test_a_terminal_gets_bars(tmp_path):
    with Process(COMMAND, log=tmp_path / "log", terminal=True) as process:
        assert process.wait(30.0) == 0
        wait_until(lambda: b"\rcollecting: " in process.log.read_bytes(), 5.0, "the second bar")
    shown = process.log.read_bytes()
    assert b"\rdrawing: 100%" in shown and b"3/3" in shown and b"frames in" not in shown


def test_a_long_stage_says_now_and_then_how_far_it_is(monkeypatch, capsys):
    monkeypatch.setattr(progress, "_LINE_EVERY_S", 0.0)
    with pytest.raises(RuntimeError):
        for item in progress.track(range(1, 8), "training", "step"):
            if item == 3:
                raise RuntimeError
    said = [line.rpartition(" in ")[0] for line in capsys.readouterr().err.splitlines()]
    assert said[:2] == ["training: step 1/7", "training: step 2/7"]
