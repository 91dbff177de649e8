"""Policy node and rollout node as processes, with a real bridge, over DDS."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.action import ActionClient
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from sim_interfaces import msg as m
from sim_interfaces import srv
from sim_interfaces.action import Rollout

from policy_node.rollout.policy_client import PolicyClient
from sim_bridge import names
from sim_bridge.client.bridge_client import BridgeClient
from sim_bridge.errors import InvalidRequest, NotFound, OperationFailed, TimedOut
from sim_bridge.processes.testing import Process, free_domain_id, wait_until
from sim_bridge.ros import qos
from sim_bridge.ros.calls import Caller, Receiver
from sim_bridge.ros.service_loop import ServiceLoop
from sim_bridge.trajectories.trajectory import Trajectory, load_trajectory
from sim_bridge.types import ActionSpec, Observation

pytestmark = pytest.mark.process

COMMITTED = Path(__file__).parents[2] / "data" / "so101_pick_place.npz"
EXPERT = ("--ros-args", "-p", "policy:=expert")
DEADLINE_S = 60.0
ACTION = ActionSpec(
    ("dx", "dy", "dz", "gripper"),
    np.array([-1.0, -1, -1, 0]),
    np.ones(4),
    ("0.025 m", "0.025 m", "0.025 m", "1"),
    "ee_delta",
)
CANCELED, BUSY, INVALID_REQUEST, NOT_FOUND = 108, 106, 103, 2


@pytest.fixture(scope="module")
def graph(tmp_path_factory):
    """A bridge, a policy node and a rollout node on a domain of their own."""
    logs = tmp_path_factory.mktemp("logs")
    env = {"ROS_DOMAIN_ID": str(free_domain_id())}
    with (
        Process.module("sim_bridge", log=logs / "bridge", env=env),
        Process.module("policy_node", *EXPERT, log=logs / "policy", env=env) as policy,
        Process.module("policy_node.rollout", log=logs / "rollout", env=env) as rollout,
    ):
        yield int(env["ROS_DOMAIN_ID"]), policy, rollout


@pytest.fixture
def node(graph):
    context = Context()
    rclpy.init(context=context, domain_id=graph[0])
    node = Node("test", context=context)
    yield node
    node.destroy_node()
    context.try_shutdown()


@pytest.fixture
def bridge(node):
    client = BridgeClient(node, timeout_s=DEADLINE_S)
    client.wait_for_bridge(DEADLINE_S)
    yield client
    client.release()


@pytest.fixture
def policy(node):
    client = PolicyClient(node, timeout_s=DEADLINE_S)
    client.wait_for_policy(DEADLINE_S)
    return client


class Goals:
    """Sends Rollout goals and spins until something happened."""

    def __init__(self, node: Node) -> None:
        self._client = ActionClient(node, Rollout, names.ROLLOUT)
        self._executor = SingleThreadedExecutor(context=node.context)
        self._executor.add_node(node)
        self.feedback: list[Rollout.Feedback] = []
        self.spin_until(self._client.server_is_ready, "the rollout action")

    def spin_until(self, predicate, what):
        def poll():
            self._executor.spin_once(timeout_sec=0.05)
            return predicate()

        return wait_until(poll, DEADLINE_S, what)

    def send(self, **goal):
        future = self._client.send_goal_async(
            Rollout.Goal(**goal), feedback_callback=lambda f: self.feedback.append(f.feedback)
        )
        self.spin_until(future.done, "the goal's acceptance")
        return future.result()

    def result(self, handle) -> Rollout.Result:
        future = handle.get_result_async()
        self.spin_until(future.done, "the goal's result")
        return future.result().result


@pytest.fixture
def goals(node):
    return Goals(node)


def test_expert_places_the_block_over_the_wire(bridge, policy):
    """Three processes: this one closes the loop between the two others."""
    reply = bridge.reset(seed=11)
    policy.reset(seed=11)
    while not reply.done:
        reply = bridge.step(policy.infer(reply.observation))
    assert reply.success and 30 < reply.state.step < 120


def test_chunks_say_what_they_were_made_for(bridge, policy):
    bridge.reset(seed=0)
    reply = bridge.step(np.array([[0.0, 0, 0, 1]] * 3))
    policy.bind(ACTION, f"replay:{COMMITTED}?horizon=6")
    chunk = policy.infer_chunk(reply.observation)
    assert chunk.observation_step == 3
    assert chunk.observation_time_s == pytest.approx(0.3)
    assert chunk.dt_s == pytest.approx(0.1)
    assert chunk.action_names == ("dx", "dy", "dz", "gripper")
    np.testing.assert_array_equal(chunk.actions, load_trajectory(COMMITTED).actions[3:9])


def test_each_inference_is_published_for_monitors(node, bridge, policy):
    observation = bridge.reset(seed=0).observation
    receiver = Receiver(node, DiagnosticStatus, names.CHUNK_INFO, qos.EVERY_STEP)

    def published():
        policy.infer(observation)
        with contextlib.suppress(TimedOut):
            return receiver.take(0.5)

    status = wait_until(published, DEADLINE_S, "a message on chunk_info")
    values = {pair.key: pair.value for pair in status.values}
    assert status.message == "expert"
    assert values["observation_step"] == "0" and values["horizon"] == "1"
    assert 0 < float(values["inference_time"]) < 10


def test_bad_policies_are_refused_by_the_service_and_the_node_lives_on(
    graph, bridge, policy, tmp_path
):
    observation = bridge.reset(seed=0).observation
    cut = tmp_path / "cut.npz"
    cut.write_bytes(COMMITTED.read_bytes()[:5000])
    for address, error, message in (
        ("exprt", NotFound, "unknown policy 'exprt'; valid: trained, expert, hold, replay:FILE"),
        ("replay:/no/such.npz", NotFound, "no trajectory file '/no/such.npz'"),
        (f"replay:{cut}", InvalidRequest, r"cut.npz' \(5000 bytes\) is truncated"),
        (f"replay:{_panda(tmp_path)}", InvalidRequest, "panda/joint1.*so101/shoulder_pan"),
    ):
        policy.bind(ACTION, address)
        with pytest.raises(error, match=message):
            policy.infer(observation)
    policy.bind(ACTION)
    assert policy.infer(observation).shape == (1, 4)
    assert graph[1].running


def test_bad_requests_are_refused_by_the_service(node, bridge, policy):
    observation = bridge.reset(seed=0).observation
    caller = Caller(node, srv.InferChunk, names.INFER_CHUNK)
    assert caller.wait_for_service(DEADLINE_S)
    for fields, message in (
        ({"client_id": ""}, "client_id is empty"),
        ({"client_id": "x", "options_json": "{"}, "options_json is not JSON"),
        ({"client_id": "x", "options_json": "[1]"}, "valid: a JSON object"),
        ({"client_id": "x", "options_json": '{"polcy": 1}'}, "'polcy'; valid: policy"),
        (
            {"client_id": "x", "options_json": '{"policy": "python:os:abort"}'},
            "cannot be requested",
        ),
        ({"client_id": "x"}, "environment_state"),
    ):
        response = caller.call(srv.InferChunk.Request(**fields), DEADLINE_S)
        assert response.result.code == INVALID_REQUEST
        assert message in response.result.message
    assert policy.infer(observation).shape == (1, 4)


def test_rollout_runs_episodes_and_writes_their_trajectories(goals, tmp_path):
    handle = goals.send(episodes=2, seeds=[0, 4], output_directory=str(tmp_path / "out"))
    result = goals.result(handle)
    assert result.result.code == 1 and result.success_rate == 1.0
    assert [e.seed for e in result.episodes] == [0, 4]
    first = result.episodes[0]
    assert first.success and first.terminated and not first.truncated
    assert 0 < first.sim_wall_time < first.wall_time
    assert 0 < first.inference_time < first.wall_time
    assert {f.episode for f in goals.feedback} == {0, 1}
    assert max(f.step for f in goals.feedback if f.episode == 0) == first.steps
    assert [Path(f).name for f in result.files] == ["episode_000.npz", "episode_001.npz"]
    written, committed = load_trajectory(result.files[0]), load_trajectory(COMMITTED)
    np.testing.assert_array_equal(written.actions, committed.actions)
    np.testing.assert_array_equal(written.joint_positions, committed.joint_positions)


def test_rollout_replays_a_trajectory_in_chunks(goals):
    result = goals.result(goals.send(policy=f"replay:{COMMITTED}", episodes=1, seeds=[0]))
    assert result.result.code == 1 and result.success_rate == 1.0
    assert result.episodes[0].steps == 47
    assert [f.step for f in goals.feedback] == [16, 32, 47]


def test_rollout_refuses_bad_goals(goals, graph, bridge):
    for goal, code, message in (
        ({"episodes": 0}, INVALID_REQUEST, "episodes is 0"),
        ({"episodes": 2, "seeds": [1]}, INVALID_REQUEST, "1 seeds for 2 episodes"),
        ({"episodes": 1, "policy": "exprt"}, NOT_FOUND, "unknown policy 'exprt'"),
    ):
        result = goals.result(goals.send(**goal))
        assert result.result.code == code and message in result.result.message
        assert not result.episodes
        bridge.reset(seed=0)  # nobody else has control, not even for the lease
        bridge.release()
    assert graph[2].running


def test_rollout_refuses_a_folder_it_cannot_write_before_an_episode(goals, bridge, tmp_path):
    (tmp_path / "file").write_text("here first")
    result = goals.result(goals.send(episodes=1, output_directory=str(tmp_path / "file")))
    assert result.result.code == OperationFailed.code
    assert "choose another folder" in result.result.message
    assert not result.episodes and not goals.feedback
    bridge.reset(seed=0)
    bridge.release()


def test_rollout_says_that_the_disk_is_full(goals, tmp_path):
    (tmp_path / "episodes.jsonl").symlink_to("/dev/full")
    result = goals.result(goals.send(episodes=1, max_steps=2, output_directory=str(tmp_path)))
    assert result.result.code == OperationFailed.code
    assert "No space left on device; free some space" in result.result.message


def test_rollout_is_canceled_within_a_step_and_reports_what_was_done(goals, bridge):
    handle = goals.send(episodes=50)
    goals.spin_until(
        lambda: any(f.episode == 1 and f.step > 5 for f in goals.feedback), "episode 1"
    )
    second = goals.result(goals.send(episodes=1))
    assert second.result.code == BUSY
    cancel = handle.cancel_goal_async()
    goals.spin_until(cancel.done, "the cancellation's acceptance")
    asked_at = goals.feedback[-1].step
    result = goals.result(handle)
    assert result.result.code == CANCELED and len(result.episodes) == 1
    assert result.result.message.startswith("stopped in episode 1 of 50")
    assert goals.feedback[-1].episode == 1 and goals.feedback[-1].step <= asked_at + 5
    bridge.reset(seed=0)  # control was given back


def test_an_episode_that_a_person_calls_a_success_ends_as_one(goals, node, bridge):
    verdict = node.create_publisher(m.StepInfo, names.VERDICT, qos.LATCHED)
    handle = goals.send(policy="hold", episodes=1, max_steps=300)
    goals.spin_until(lambda: goals.feedback and goals.feedback[-1].step > 5, "step 5")
    running = bridge.get_state().episode
    verdict.publish(m.StepInfo(episode=running - 1, success=True))
    verdict.publish(m.StepInfo(episode=running, success=True))
    (episode,) = goals.result(handle).episodes
    assert episode.success and not episode.terminated and episode.steps < 300


def test_clients_that_ask_at_once_share_inferences(tmp_path):
    """Four processes' worth of clients of a 50 ms policy that can batch, over the wire."""
    env = {"ROS_DOMAIN_ID": str(free_domain_id()), "PYTHONPATH": _with(Path(__file__).parents[1])}
    arguments = ("--ros-args", "-p", "policy:=python:slow_policies:batching")
    rounds = 6
    with (
        Process.module("sim_bridge", log=tmp_path / "bridge", env=env),
        Process.module("policy_node", *arguments, log=tmp_path / "policy", env=env),
        ExitStack() as stack,
    ):
        clients = [_client(stack, int(env["ROS_DOMAIN_ID"]), f"client{i}") for i in range(4)]

        def run(client):
            for step in range(rounds):
                chunk = client.infer(Observation(step=step, instruction=client.client_id))
                assert (chunk == step).all()

        started = time.monotonic()
        run(clients[0])
        alone = time.monotonic() - started
        with ThreadPoolExecutor(4) as pool:
            started = time.monotonic()
            list(pool.map(run, clients))
            together = time.monotonic() - started
    assert alone >= rounds * 0.05
    assert together < 2.0 * alone  # serially it would be 4


def test_a_client_asks_again_until_the_node_answers():
    """An answer is lost when the node does not see its client yet."""
    domain_id, asked = free_domain_id(), []

    def lose_the_first(request, reply):
        asked.append(request.client_id)
        if len(asked) > 1:
            reply(srv.ResetPolicy.Response())

    with ExitStack() as stack:
        loop = ServiceLoop(_node(stack, domain_id, "policy_node"))
        loop.add_deferred(srv.InferChunk, names.INFER_CHUNK, lambda request, reply: None)
        loop.add_deferred(srv.ResetPolicy, names.RESET_POLICY, lose_the_first)
        pool = stack.enter_context(ThreadPoolExecutor(1))
        client = PolicyClient(_node(stack, domain_id, "client"), client_id="me")
        met = pool.submit(client.wait_for_policy, DEADLINE_S)
        wait_until(lambda: loop.spin_once(0.05) or met.done(), DEADLINE_S, "the client's answer")
        met.result()
    assert asked == ["me", "me"]


def _with(folder: Path) -> str:
    return os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])


def _client(stack: ExitStack, domain_id: int, name: str) -> PolicyClient:
    client = PolicyClient(_node(stack, domain_id, name), client_id=name, timeout_s=DEADLINE_S)
    client.wait_for_policy(DEADLINE_S)
    return client


def _node(stack: ExitStack, domain_id: int, name: str) -> Node:
    context = Context()
    rclpy.init(context=context, domain_id=domain_id)
    stack.callback(context.try_shutdown)
    return Node(name, context=context)


@contextlib.contextmanager
def _rollout_of_a_killed_policy(folder: Path, **parameters: float):
    """Goals, a goal under way whose policy node was just killed, and how to start another."""
    env = {"ROS_DOMAIN_ID": str(free_domain_id())}
    words = [word for name, value in parameters.items() for word in ("-p", f"{name}:={value}")]

    def policy_process(name):
        return Process.module("policy_node", *EXPERT, log=folder / name, env=env)

    with (
        ExitStack() as stack,
        Process.module("sim_bridge", log=folder / "bridge", env=env),
        policy_process("first") as first,
        Process.module(
            "policy_node.rollout", "--ros-args", *words, log=folder / "rollout", env=env
        ),
    ):
        node = _node(stack, int(env["ROS_DOMAIN_ID"]), "test")
        stack.callback(node.destroy_node)
        goals = Goals(node)
        handle = goals.send(episodes=1, output_directory=str(folder / "out"))
        goals.spin_until(lambda: goals.feedback and goals.feedback[-1].step > 10, "step 10")
        first.signal(signal.SIGKILL)
        first.wait(DEADLINE_S)
        yield goals, handle, policy_process


def test_an_episode_survives_the_death_of_the_policy_node(tmp_path):
    """Killed in mid-episode and started again: the observation is sent again, the episode ends."""
    with _rollout_of_a_killed_policy(tmp_path, patience_s=60.0, inference_timeout_s=1.0) as killed:
        goals, handle, policy_process = killed
        with policy_process("second"):
            result = goals.result(handle)
    assert result.result.code == 1, (tmp_path / "rollout").read_text()
    assert result.episodes[0].success
    line = json.loads((tmp_path / "out" / "episodes.jsonl").read_text())
    assert line["retries"] >= 1 and line["errors"]["TimedOut"] == line["retries"]
    assert line["held_steps"] == 0


def test_a_goal_whose_policy_node_died_ends_within_its_bound(tmp_path):
    parameters = {"patience_s": 1.0, "inference_timeout_s": 30.0, "give_up_s": 4.0}
    with _rollout_of_a_killed_policy(tmp_path, **parameters) as (goals, handle, _):
        started = time.monotonic()
        result = goals.result(handle)
        assert time.monotonic() - started < 4.0 + 4.0  # the bound, and a busy machine
    assert result.result.code == TimedOut.code
    assert "give_up_s 4" in result.result.message


def _panda(folder: Path) -> Path:
    trajectory = Trajectory(
        "Panda-v0", "test", ("panda",), 0.1, ("dx", "dy", "dz", "gripper"),
        np.zeros((2, 4)), np.zeros(2), times_s=np.zeros(1), joint_names=("panda/joint1",),
        joint_positions=np.zeros((1, 1)), joint_velocities=np.zeros((1, 1)),
        body_poses=np.zeros((1, 0, 7)), body_twists=np.zeros((1, 0, 6)),
        target_positions=np.zeros((1, 0)),
    )  # fmt: skip
    return trajectory.save(folder / "panda.npz")
