"""Replays across processes: the command, and the action server, on a real bridge."""

import signal
from dataclasses import replace

import numpy as np
import pytest
from rclpy.action import ActionClient
from rclpy.executors import SingleThreadedExecutor
from sim_interfaces.action import Replay

from sim_bridge.errors import OK, Canceled, InvalidAction, InvalidRequest, NotFound
from sim_bridge.processes.testing import Process, free_domain_id, wait_until
from sim_bridge.simulators.gymnasium.simulator import GymnasiumSimulator
from sim_bridge.trajectories.trajectory import TrajectoryRecorder, load_trajectory

pytestmark = pytest.mark.process

TIMEOUT_S = 60.0
TASK = "SO101PickPlace-v0"


@pytest.fixture(scope="module")
def recording():
    """40 random steps of the default task, from seed 8."""
    simulator = GymnasiumSimulator(TASK)
    spec = simulator.spec
    simulator.reset(seed=8)
    recorder = TrajectoryRecorder(spec, 8, simulator.state())
    low, high = spec.action.low, spec.action.high
    for row in np.random.default_rng(1).uniform(low, high, (40, spec.action.size)):
        outcome = simulator.step(row)
        recorder.add(row, simulator.state(), outcome.reward)
    simulator.close()
    return recorder.finish(success=False)


@pytest.fixture(scope="module")
def file(recording, tmp_path_factory):
    return recording.save(tmp_path_factory.mktemp("trajectories") / "random.npz")


@pytest.fixture(scope="module")
def server(bridge, domain_id, tmp_path_factory):
    log = tmp_path_factory.mktemp("replay") / "server.log"
    environment = {"ROS_DOMAIN_ID": str(domain_id)}
    with Process.module("sim_bridge.trajectories.replay_node", log=log, env=environment) as process:
        yield process


@pytest.fixture
def ask(server, node):
    """Send a goal: the status, the result and the feedback; ``cancel_at`` a step."""
    executor = SingleThreadedExecutor(context=node.context)
    executor.add_node(node)
    client = ActionClient(node, Replay, "replay")

    def wait(future):
        def spun():
            executor.spin_once(timeout_sec=0.05)
            return future.done()

        wait_until(spun, TIMEOUT_S, "the action server's answer")
        return future.result()

    def send(cancel_at=None, **goal):
        assert client.wait_for_server(TIMEOUT_S)
        feedback = []
        handle = wait(
            client.send_goal_async(Replay.Goal(**goal), lambda f: feedback.append(f.feedback))
        )
        assert handle.accepted
        if cancel_at is not None:

            def far_enough():
                executor.spin_once(timeout_sec=0.05)
                return feedback and feedback[-1].step >= cancel_at

            wait_until(far_enough, TIMEOUT_S, f"step {cancel_at}")
            wait(handle.cancel_goal_async())
        answer = wait(handle.get_result_async())
        return answer.result, feedback

    yield send
    client.destroy()
    executor.shutdown()


def test_action_replays_and_writes_what_happened(ask, file, recording, tmp_path):
    result, feedback = ask(trajectory=str(file), output_directory=str(tmp_path))
    assert result.result.code == OK, result.result.message
    (episode,) = result.episodes
    assert (episode.steps, episode.seed) == (40, 8)
    assert episode.total_reward == pytest.approx(recording.rewards.sum())
    # The last ones may come after the result.
    steps = [f.step for f in feedback]
    assert steps and steps == sorted(set(steps)) and feedback[-1].fps > 0
    written = load_trajectory(result.files[0])
    np.testing.assert_array_equal(written.joint_positions, recording.joint_positions)
    np.testing.assert_array_equal(written.body_poses, recording.body_poses)


def test_action_restores_states(ask, file):
    result, feedback = ask(trajectory=str(file), restore_states=True)
    assert result.result.code == OK, result.result.message
    assert result.episodes[0].steps == 41 and 0 < feedback[-1].step <= 41


def test_action_names_what_is_wrong(ask, file, tmp_path):
    result, _ = ask(trajectory=str(tmp_path / "missing.npz"))
    assert result.result.code == NotFound.code and "missing.npz" in result.result.message
    result, _ = ask(trajectory=f"{file}?episode=2")
    assert result.result.code == InvalidRequest.code
    assert "needs no import options" in result.result.message


@pytest.fixture(scope="module")
def wild_file(recording, tmp_path_factory):
    """Actions that are refused without --clip, after the reset."""
    wild = replace(recording, actions=recording.actions * 3)
    return wild.save(tmp_path_factory.mktemp("wild") / "wild.npz")


def test_a_refused_goal_can_be_corrected_at_once(ask, file, wild_file):
    """Each goal drives the bridge as a new client: the refused one must have given control back."""
    result, _ = ask(trajectory=str(wild_file))
    assert result.result.code == InvalidAction.code
    result, _ = ask(trajectory=str(file))
    assert result.result.code == OK, result.result.message


def test_a_refused_command_can_be_corrected_at_once(bridge, domain_id, wild_file, tmp_path):
    environment = {"ROS_DOMAIN_ID": str(domain_id)}
    for name, words, status in (("refused", [], 2), ("corrected", ["--clip"], 0)):
        log = tmp_path / name
        module = "sim_bridge.trajectories.replay_command"
        with Process.module(module, str(wild_file), *words, log=log, env=environment) as process:
            assert process.wait(TIMEOUT_S) == status, process.output()
            assert "has control" not in process.output()


def test_action_can_be_canceled(ask, recording, tmp_path):
    count = 290  # the task truncates at 300
    repeated = replace(
        recording,
        actions=np.tile(recording.actions[:1] * 0, (count, 1)),
        rewards=np.zeros(count),
        **{name: getattr(recording, name)[:1] for name in STATE_ARRAYS},
    )
    path = repeated.save(tmp_path / "long.npz")
    result, feedback = ask(cancel_at=10, trajectory=str(path))
    if feedback[-1].step < count:
        assert result.result.code == Canceled.code
        assert "stopped after" in result.result.message
    else:
        pytest.skip("the machine was done before the request arrived")


STATE_ARRAYS = (
    "times_s",
    "joint_positions",
    "joint_velocities",
    "body_poses",
    "body_twists",
    "target_positions",
)


def test_command_replays_our_own_format(file, recording, replay_on, tmp_path):
    output = tmp_path / "again.npz"
    printed, state = replay_on("gymnasium", TASK, file, "--output", output)
    assert "done: 40 steps" in printed and "largest joint error 0" in printed
    np.testing.assert_array_equal(state.joint_positions, recording.joint_positions[-1])
    again = load_trajectory(output)
    np.testing.assert_array_equal(again.body_poses, recording.body_poses)


def test_command_without_a_bridge_says_so(file, tmp_path):
    environment = {"ROS_DOMAIN_ID": str(free_domain_id())}
    words = (str(file), "--wait-s", "2")
    with Process.module(
        "sim_bridge.trajectories.replay_command", *words, log=tmp_path / "log", env=environment
    ) as p:
        assert p.wait(TIMEOUT_S) == 2
        assert "replay: no bridge on 'spec' within 2 s" in p.output()


def test_command_ends_on_ctrl_c(bridge, domain_id, file, tmp_path):
    environment = {"ROS_DOMAIN_ID": str(domain_id)}
    words = (str(file), "--restore-states", "--speed", "0.05")
    with Process.module(
        "sim_bridge.trajectories.replay_command",
        *words,
        log=tmp_path / "log",
        env=environment,
        terminal=True,
    ) as p:
        wait_until(lambda: "2/41" in p.output(), TIMEOUT_S, "the second state")
        p.signal(signal.SIGINT)
        assert p.wait(TIMEOUT_S) == 130
        assert "canceled: " in p.output() and "Traceback" not in p.output()


def test_command_explains_itself(tmp_path):
    with Process.module(
        "sim_bridge.trajectories.replay_command", "--help", log=tmp_path / "log"
    ) as process:
        assert process.wait(TIMEOUT_S) == 0
        assert "--restore-states" in process.output() and "RoboVerse" in process.output()
