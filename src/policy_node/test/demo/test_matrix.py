"""The whole demo by its launch file: each simulator, with tasks and policies of all kinds."""

from __future__ import annotations

import sys
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

pytestmark = pytest.mark.process

sys.path.insert(0, str(Path(__file__).resolve().parents[4] / "tools"))
from demos.table import DEMOS, Demo, run, summary  # noqa: E402

STEPS = 5
TIMEOUT_S = 120.0


@pytest.mark.parametrize("demo", DEMOS, ids=[demo.name or "default" for demo in DEMOS])
def test_the_demo_runs_and_all_that_it_lists_is_there(demo, tmp_path):
    if missing := demo.missing():
        pytest.skip(missing)
    status, text = run(demo, tmp_path, STEPS, TIMEOUT_S)
    assert status == 1, text  # no task succeeds in so few steps
    assert "Traceback" not in text
    content = summary(tmp_path)
    assert content["steps"] == STEPS and not content["message"]
    assert content["task"] == demo.task or not demo.task
    files = {Path(file).name: Path(file) for file in content["files"]}
    assert all(file.is_file() for file in files.values())
    assert content["mirror"]["frames"] == STEPS == frames(files["mirror.mp4"])
    check_picture(files["final.png"])


def frames(video: Path) -> int:
    with av.open(str(video)) as container:
        return sum(1 for _ in container.decode(video=0))


def check_picture(path: Path) -> None:
    """Not one colour, in all and in the middle."""
    pixels = np.asarray(Image.open(path).convert("RGB"), dtype=float)
    assert pixels.std() > 10.0
    height, width, _ = pixels.shape
    middle = pixels[height // 4 : -height // 4, width // 4 : -width // 4]
    assert middle.std(axis=(0, 1)).max() > 10.0


def test_a_policy_for_another_task_is_refused_in_one_line(tmp_path):
    status, text = run(Demo("mujoco"), tmp_path, STEPS, TIMEOUT_S)
    assert status == 2 and "Traceback" not in text
    (line,) = [line for line in text.splitlines() if "  failed " in line]
    assert "the policy's actions are dx, dy, dz" in line and line.endswith(
        "policy:=hold is for any task"
    )
    assert summary(tmp_path)["steps"] == 0


@pytest.mark.parametrize(
    ("word", "meant"), [("simulator:=mujocoo", "mujoco"), ("policy:=trainedd", "trained")]
)
def test_a_wrong_word_is_refused_in_one_line(word, meant, tmp_path):
    name, value = word.split(":=")
    status, text = run(Demo(**{name: value}), tmp_path, STEPS, TIMEOUT_S)
    assert status == 2 and "Traceback" not in text
    (line,) = [line for line in text.splitlines() if repr(value) in line]
    assert f"unknown {name} {value!r}; valid: " in line and f"did you mean {meant!r}?" in line
    assert not list(tmp_path.iterdir())
