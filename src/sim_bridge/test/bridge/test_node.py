"""The bridge as a process, through its real services."""

import os
import re
import signal
from functools import partial

import numpy as np
import pytest
from rclpy.node import Node
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import JointState
from sim_interfaces import msg as m
from sim_interfaces import srv
from tf2_msgs.msg import TFMessage

from sim_bridge import names
from sim_bridge.client.bridge_client import BridgeClient
from sim_bridge.errors import (
    BridgeError,
    InvalidAction,
    InvalidState,
    LeaseHeld,
    NotFound,
    SequenceGap,
)
from sim_bridge.processes.testing import Process, free_domain_id, wait_until
from sim_bridge.ros import qos
from sim_bridge.ros.calls import Receiver
from sim_bridge.ros.convert import from_state_msg

pytestmark = pytest.mark.process

HOLD = np.array([0.0, 0.0, 0.0, 1.0])


@pytest.fixture
def client(bridge, node):
    client = BridgeClient(node, timeout_s=30.0)
    client.wait_for_bridge(60.0)
    yield client
    client.release()
    client.close()


def test_steps_advance_time_by_the_control_period(client):
    reply = client.reset(seed=0)
    assert (reply.state.step, reply.state.time_s) == (0, 0.0)
    reply = client.step(np.tile(HOLD, (5, 1)))
    assert reply.state.step == 5
    assert reply.state.time_s == pytest.approx(0.5)
    assert len(reply.rewards) == 5
    assert reply.observation.arrays["agent_pos"].dtype == np.float32


def test_the_seed_decides_where_the_cube_is(client):
    first, again, other = (client.reset(seed=s).state.body_poses for s in (3, 3, 4))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_restored_state_has_the_same_future_bit_for_bit(client):
    actions = np.random.default_rng(0).uniform([-1, -1, -1, 0], 1, (30, 4)).astype(np.float32)
    client.reset(seed=5)
    client.step(actions[:10])
    middle = client.get_state()
    end = client.step(actions[10:]).state
    client.reset(seed=6)
    client.set_state(middle)
    again = client.step(actions[10:]).state
    assert np.array_equal(end.joint_positions, again.joint_positions)
    assert np.array_equal(end.joint_velocities, again.joint_velocities)
    assert np.array_equal(end.body_poses, again.body_poses)


def _unchanged(client, call, error, match):
    before = client.get_state()
    with pytest.raises(error, match=match):
        call()
    after = client.get_state()
    assert np.array_equal(before.joint_positions, after.joint_positions)
    assert np.array_equal(before.body_poses, after.body_poses)
    assert (before.step, before.episode) == (after.step, after.episode)


def test_bad_requests_are_refused_and_change_nothing(client):
    client.reset(seed=1)
    client.step(HOLD)
    state = client.get_state()
    elbow = {"joint_names": ("so101/knee", *state.joint_names[1:]), "native_format": ""}
    unknown_joint = type(state)(**{**vars(state), **elbow})
    nan = type(state)(**{**vars(state), "joint_positions": np.full(6, np.nan)})
    for call, error, match in (
        (lambda: client.step(np.zeros(3)), InvalidAction, "3 action values.*dx, dy, dz, gripper"),
        (lambda: client.step(HOLD * np.nan), InvalidAction, "dx: nan"),
        (lambda: client.set_state(unknown_joint), NotFound, "'so101/knee'; valid: so101/should"),
        (lambda: client.set_state(nan), InvalidState, "so101/shoulder_pan.*nan"),
        (lambda: client.step(HOLD, cameras=["rear"]), NotFound, "'rear'; valid: front"),
    ):
        _unchanged(client, call, error, match)
    assert client.step(HOLD).state.step == 2


def test_a_native_block_of_something_else_is_refused(client):
    client.reset(seed=1)
    state = client.get_state()
    spoiled = type(state)(**{**vars(state), "native": b"not an archive"})
    _unchanged(client, lambda: client.set_state(spoiled), InvalidState, "native block")


def test_a_second_client_is_refused_while_the_first_has_control(client, node):
    client.reset(seed=1)
    other = BridgeClient(node, client_id="other", timeout_s=30.0)
    _unchanged(client, lambda: other.step(HOLD), LeaseHeld, f"'{client.client_id}' has control")
    client.release()
    other.reset(seed=2)
    other.release()
    other.close()


def test_repeated_and_skipped_numbers(client):
    client.reset(seed=1)
    request = srv.Step.Request(client_id=client.client_id, actions=HOLD.tolist(), num_steps=1)
    request.sequence = 2
    first = client._step.call(request, 30.0)
    again = client._step.call(request, 30.0)
    assert (first.state.step, again.state.step) == (1, 1)
    assert first == again
    for wrong in (1, 4, 9):
        request.sequence = wrong
        response = client._step.call(request, 30.0)
        assert response.result.code == m.Result.SEQUENCE_GAP
        assert "valid: 2" in response.result.message
    assert client.get_state().step == 1


def test_ctrl_c_in_the_middle_of_an_answer_is_raised_and_loses_no_step(client, monkeypatch):
    """The moment in which rclpy used to make a SystemError of it, or nothing."""
    client.reset(seed=0)
    pressed = []
    make_observation = m.Observation.__init__

    def press_and_make(message, **fields):
        if not pressed:
            pressed.append(True)
            os.kill(os.getpid(), signal.SIGINT)
        make_observation(message, **fields)

    monkeypatch.setattr(m.Observation, "__init__", press_and_make)
    with pytest.raises(KeyboardInterrupt):
        client.step(HOLD)
    assert pressed and client.get_state().step == 1
    assert client.step(HOLD).state.step == 2
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_client_of_another_bridge_life_gets_a_typed_error(client, node):
    ghost = BridgeClient(node, client_id="ghost", timeout_s=30.0)
    ghost._sequence = 41
    with pytest.raises(SequenceGap, match="sequence 42 .* restarted"):
        ghost.step(HOLD)
    ghost.release()
    ghost.close()


def test_topics_carry_every_step(client, node):
    state = Receiver(node, m.SimState, names.STATE, qos.EVERY_STEP)
    info = Receiver(node, m.StepInfo, names.STEP_INFO, qos.EVERY_STEP)
    joints = Receiver(node, JointState, names.JOINT_STATES, qos.ROBOT_STATE)
    tf = Receiver(node, TFMessage, names.TF, qos.ROBOT_STATE)
    clock = Receiver(node, Clock, names.CLOCK, qos.CLOCK)
    spec = Receiver(node, m.SimSpec, names.SPEC, qos.LATCHED).take(30.0)
    assert spec.task == "SO101PickPlace-v0" and spec.control_period == 0.1
    for topic in (names.STATE, names.STEP_INFO, names.JOINT_STATES, names.TF, names.CLOCK):
        wait_until(partial(node.count_publishers, topic), 30.0, f"a publisher on {topic}")
    client.reset(seed=1)
    wait_until(lambda: client.reset(seed=1) and _try(state), 30.0, "state to be matched")
    reply = client.step(np.tile(HOLD, (4, 1)))
    steps = []
    while not steps or steps[-1].step < 4:
        steps.append(from_state_msg(state.take(30.0)))
    assert [s.step for s in steps[-4:]] == [1, 2, 3, 4]
    assert np.array_equal(steps[-1].joint_positions, reply.state.joint_positions)
    assert info.take(30.0).action.tolist() == HOLD.tolist()
    assert list(joints.take(30.0).name) == list(reply.state.joint_names)
    frames = {t.child_frame_id for t in tf.take(30.0).transforms}
    assert {"so101/base", "so101/gripper", "block"} <= frames
    assert clock.take(30.0).clock.sec == 0


def _try(receiver: Receiver):
    try:
        return receiver.take(0.2)
    except BridgeError:
        return None


def test_the_model_is_handed_out_file_by_file(client):
    manifest = client.get_model()
    assert manifest.main_file == "pick_scene.xml" and manifest.model.format == "mjcf"
    small = min(manifest.files, key=lambda f: f.size)
    content = client.get_model(small.path).files[0]
    assert len(content.data) == small.size and content.sha256 == small.sha256
    with pytest.raises(NotFound, match="unknown model file '../secret'"):
        client.get_model("../secret")


def test_ctrl_c_ends_the_process_quietly(tmp_path):
    env = {"ROS_DOMAIN_ID": str(free_domain_id())}
    with Process.module("sim_bridge", log=tmp_path / "log", env=env) as process:
        wait_until(lambda: "actions every" in process.output(), 60.0, "start")
        process.signal(signal.SIGINT)
        assert process.wait(10.0) == 0
        assert "Traceback" not in process.output()


@pytest.mark.parametrize(
    ("parameter", "message"),
    [
        ("task:=Nonsense-v9", "unknown task 'Nonsense-v9'.*valid: SO101PickPlace-v0"),
        ("task:=SO101PickPlce-v0", "; did you mean 'SO101PickPlace-v0'"),
        ("task_options:='{\"a\": 1}'", "'SO101PickPlace-v0' does not take its options: .* 'a'"),
        ("simulator:=gazebo", "unknown simulator 'gazebo'; valid: gymnasium"),
        ("lease_s:=-1.0", "lease_s is -1.0; valid"),
        ("task_options:='[1]'", "task_options"),
    ],
)
def test_bad_parameters_end_the_process_with_a_reason(tmp_path, parameter, message):
    env = {"ROS_DOMAIN_ID": str(free_domain_id())}
    arguments = ["--ros-args", "-p", parameter]
    with Process.module("sim_bridge", *arguments, log=tmp_path / "log", env=env) as process:
        assert process.wait(60.0) == 2
        assert re.search(message, process.output()), process.output()
        assert "Traceback" not in process.output()


def test_node_name(node: Node, client):
    wait_until(lambda: "sim_bridge" in node.get_node_names(), 30.0, "node name")
