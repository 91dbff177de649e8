"""The demo client: its report, and runs against real processes."""

from __future__ import annotations

import json
import signal
from contextlib import ExitStack
from pathlib import Path

import pytest

from policy_node.demo.report import DemoOutcome, EpisodeStages, summary, table
from policy_node.policies.registry import DEFAULT_POLICY
from sim_bridge.processes.testing import Process, free_domain_id, wait_until
from sim_bridge.trajectories.trajectory import load_trajectory
from sim_bridge.types import EpisodeResult

pytestmark = pytest.mark.process

DEADLINE_S = 90.0
EPISODE = EpisodeResult(
    3, True, steps=50, total_reward=1.0, wall_time_s=2.0, sim_wall_time_s=1.0, inference_time_s=0.5
)
MIRROR = {
    "frames": 50,
    "joint_error_max_rad": 0.0,
    "live_lag_ms": {"p50": 12.5, "p99": 20.0},
    "lag_ms": {"p50": 12.5, "p99": 20.0},
    "pid": 7,
}


def test_summary_gives_means_per_step(arm_spec):
    outcome = DemoOutcome(arm_spec(), "expert", (EPISODE,), mirror=MIRROR, pids={"mirror": 7})
    content = summary(outcome)
    assert content["success"] and content["steps"] == 50 and content["seed"] == 3
    assert content["timings"] == {
        "sim_ms_per_step": 20.0,
        "inference_ms_per_step": 10.0,
        "step_ms": 30.0,
        "wall_s": 2.0,
        "steps_per_s": 25.0,
        "lag_ms": {"p50": 12.5, "p99": 20.0},
    }
    assert json.loads(json.dumps(content)) == content
    text = "\n".join(table(content, "/out"))
    assert (
        "seed 3" in text and "success in 50 steps" in text and "live picture 12 ms behind" in text
    )


def test_a_failed_episode_or_an_error_is_no_success(arm_spec):
    failed = EpisodeResult(4, steps=300, wall_time_s=9.0)
    assert not DemoOutcome(arm_spec(), "expert", (EPISODE, failed)).success
    assert not DemoOutcome(arm_spec(), "expert", ()).success
    broken = DemoOutcome(arm_spec(), "expert", (EPISODE,), message="mirror: gone")
    assert not broken.success
    assert "failed    mirror: gone" in "\n".join(table(summary(broken), "/out"))


def test_each_episode_is_a_line_where_there_is_no_terminal(capsys):
    with EpisodeStages(2, 100) as stages:
        for episode, steps in ((0, 45), (1, 1)):
            for step in range(1, steps + 1):
                stages.show(episode, step)
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("episode 1/2: 45 steps in ")
    assert second.startswith("episode 2/2: 1 step in ")


@pytest.fixture(scope="module")
def graph(tmp_path_factory):
    """The environment of a domain with a bridge, a policy node and a rollout node in it."""
    logs = tmp_path_factory.mktemp("logs")
    env = {"ROS_DOMAIN_ID": str(free_domain_id())}
    with ExitStack() as stack:
        for module in ("sim_bridge", "policy_node", "policy_node.rollout"):
            stack.enter_context(Process.module(module, log=logs / module, env=env))
        yield env


def demo(tmp_path: Path, env: dict[str, str], *parameters: str, terminal: bool = False) -> Process:
    arguments = [word for parameter in parameters for word in ("-p", parameter)]
    return Process.module(
        "policy_node.demo",
        "--ros-args", "-p", f"output:={tmp_path / 'output'}", "-p", "mirror:=false", *arguments,
        log=tmp_path / "demo",
        env=env,
        terminal=terminal,
    )  # fmt: skip


def test_demo_runs_an_episode_and_leaves_a_summary(graph, tmp_path):
    with demo(tmp_path, graph, "seed:=2") as process:
        assert process.wait(DEADLINE_S) == 0, process.output()
    (folder,) = (tmp_path / "output").iterdir()
    content = json.loads((folder / "summary.json").read_text())
    assert content["success"] and content["task"] == "SO101PickPlace-v0"
    assert content["policy"] == DEFAULT_POLICY and content["seed"] == 2
    trajectory = load_trajectory(folder / "episode_000.npz")
    assert trajectory.seed == 2 and trajectory.num_steps == content["steps"]
    pids = content["pids"]
    assert pids["simulator"] != pids["policy"] and None not in (pids["policy"], pids["simulator"])
    assert "success in" in process.output() and str(folder) in process.output()


def test_demo_says_by_its_exit_status_that_the_task_failed(graph, tmp_path):
    with demo(tmp_path, graph, "policy:=hold", "max_steps:=5") as process:
        assert process.wait(DEADLINE_S) == 1, process.output()
    with demo(tmp_path, graph, "policy:=nonsense") as process:
        assert process.wait(DEADLINE_S) == 2, process.output()
        assert "unknown policy 'nonsense'; valid: trained, expert" in process.output()


def test_ctrl_c_cancels_the_rollout_and_ends_quickly(graph, tmp_path):
    with demo(tmp_path, graph, "policy:=hold", terminal=True) as process:
        wait_until(
            lambda: b"\repisode 1/1: " in process.log.read_bytes(), DEADLINE_S, "a running episode"
        )
        process.signal(signal.SIGINT)
        assert process.wait(3.0) == 130
        assert "demo: interrupted" in process.output() and "Traceback" not in process.output()
    with demo(tmp_path, graph) as other:  # the graph is free for the next one
        assert other.wait(DEADLINE_S) == 0, other.output()
        assert b"\r" not in other.log.read_bytes() and "episode 1/1: " in other.output()


def test_demo_names_what_is_missing(tmp_path):
    env = {"ROS_DOMAIN_ID": str(free_domain_id())}
    with demo(tmp_path, env, "wait_s:=2.0", "mirror:=true") as process:
        assert process.wait(DEADLINE_S) == 2
        for missing in ("simulator (topic spec)", "policy (", "rollout (", "mirror ("):
            assert missing in process.output()
    assert not (tmp_path / "output").exists()


@pytest.mark.parametrize(
    ("parameter", "message"),
    [
        ("episodes:=0", "episodes is 0; valid: 1"),
        ("episodes:=abc", "episodes is 'abc'"),
        ("seed:=-1", "seed is -1"),
    ],
)
def test_demo_refuses_bad_parameters(tmp_path, parameter, message):
    with demo(tmp_path, {}, parameter) as process:
        assert process.wait(DEADLINE_S) == 2
        assert message in process.output() and "Traceback" not in process.output()


def test_demo_refuses_an_output_that_is_no_folder_before_it_waits(tmp_path):
    (tmp_path / "output").write_text("here first")
    with demo(tmp_path, {"ROS_DOMAIN_ID": str(free_domain_id())}) as process:
        assert process.wait(DEADLINE_S) == 2
        assert len(process.output().splitlines()) == 1
        assert f"demo: cannot write {tmp_path / 'output'}" in process.output()
        assert "choose another folder" in process.output()


def test_a_task_without_an_end_is_bounded_aloud(tmp_path):
    env = {"ROS_DOMAIN_ID": str(free_domain_id())}
    task = ("--ros-args", "-p", "simulator:=mujoco", "-p", "task:=so101")
    hold = ("--ros-args", "-p", "policy:=hold")
    with ExitStack() as stack:
        for module, words in (("sim_bridge", task), ("policy_node", hold),
                              ("policy_node.rollout", ())):  # fmt: skip
            stack.enter_context(Process.module(module, *words, log=tmp_path / module, env=env))
        process = stack.enter_context(demo(tmp_path, env))
        assert process.wait(DEADLINE_S) == 1, process.output()
        assert "so101 has no step limit of its own: episodes end after 200" in process.output()
        assert "failure in 200 steps" in process.output()


def test_a_mirror_that_drew_nothing_has_no_figures_in_the_table(arm_spec):
    """As it tells after a rollout that was refused: the table must not hide the reason."""
    nothing = {"frames": 0, "joint_error_max_rad": None, "lag_ms": {"p50": None, "p99": None}}
    outcome = DemoOutcome(arm_spec(), "expert", (), message="no such policy", mirror=nothing)
    text = "\n".join(table(summary(outcome), "/out"))
    assert "0 frames" in text and "failed    no such policy" in text


@pytest.mark.parametrize("policy", ["exprt", "replay:/no/such.npz"])
def test_policy_node_does_not_start_with_a_policy_that_does_not_exist(tmp_path, policy):
    arguments = ("--ros-args", "-p", f"policy:={policy}")
    with Process.module("policy_node", *arguments, log=tmp_path / "log") as process:
        assert process.wait(DEADLINE_S) == 2
        assert policy.removeprefix("replay:") in process.output()
