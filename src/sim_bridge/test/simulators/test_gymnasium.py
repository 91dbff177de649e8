"""Gymnasium tasks on MuJoCo: gym-aloha without its pictures, and ids that nobody prepared."""

from typing import Any

import gymnasium
import numpy as np
import pytest

from sim_bridge.errors import FeatureUnsupported, NotFound
from sim_bridge.simulators.gymnasium.simulator import GymnasiumSimulator
from sim_bridge.types import SimState


@pytest.fixture(scope="module")
def aloha():
    simulator = GymnasiumSimulator("AlohaTransferCube-v0")
    yield simulator
    simulator.close()


def _reference(monkeypatch):
    """gym-aloha as it is, but for the pixels of its pictures, which are black."""
    import gym_aloha  # noqa: F401
    from dm_control.mujoco.engine import Physics

    monkeypatch.setattr(Physics, "render", lambda self, **_: np.zeros((480, 640, 3), np.uint8))
    return gymnasium.make(
        "gym_aloha/AlohaTransferCube-v0", obs_type="pixels_agent_pos", disable_env_checker=True
    )


def _reach_for_the_cube(position, steps):
    """Some motion of the right arm towards the cube, so that contacts happen."""
    start = np.array(position)
    for i in range(steps):
        action = start.copy()
        action[8:10] += [0.5 * i / steps, -0.2 * i / steps]
        action[[6, 13]] = [1.0, abs(np.sin(i / 10))]
        yield action.astype(np.float32)


def test_same_episode_as_gym_aloha_bit_for_bit(aloha, monkeypatch):
    reference = _reference(monkeypatch)
    observation, _ = reference.reset(seed=21)
    outcome = aloha.reset(seed=21)
    np.testing.assert_array_equal(outcome.arrays["agent_pos"], observation["agent_pos"])
    for action in _reach_for_the_cube(observation["agent_pos"], 150):
        observation, reward, terminated, _, _ = reference.step(action)
        outcome = aloha.step(action)
        np.testing.assert_array_equal(outcome.arrays["agent_pos"], observation["agent_pos"])
        assert (outcome.reward, outcome.terminated) == (reward, terminated)
    np.testing.assert_array_equal(
        aloha.state().body_poses[0, :3], reference.unwrapped._env.physics.data.qpos[16:19]
    )


def test_aloha_reward_is_the_tasks_own(aloha):
    """The cube on the open left gripper's finger, off the table: transferred, the episode ends."""
    aloha.reset(seed=0)
    finger = aloha._scene.data.geom("vx300s_left/10_left_gripper_finger").xpos
    state = aloha.state()
    body_poses = state.body_poses.copy()
    body_poses[0, :3] = finger
    raised = SimState(
        body_names=state.body_names, body_poses=body_poses, body_twists=np.zeros((1, 6))
    )
    hold = aloha.set_state(raised).arrays["agent_pos"]
    hold[[6, 13]] = np.clip(hold[[6, 13]], 0, 1)
    outcome = aloha.step(hold)
    assert (outcome.reward, outcome.terminated, outcome.success) == (4.0, True, True)


def test_aloha_is_truncated_at_its_limit(aloha):
    hold = np.clip(
        aloha.reset(seed=0).arrays["agent_pos"], aloha.spec.action.low, aloha.spec.action.high
    )
    ends = [aloha.step(hold).truncated for _ in range(300)]
    assert ends.index(True) == 299
    assert aloha.spec.max_episode_steps == 300


def test_seeded_cube_and_two_environments_in_one_process(aloha):
    """gym-aloha passes the cube's pose through a module variable."""
    other = GymnasiumSimulator("gym_aloha/AlohaTransferCube-v0")
    aloha.reset(seed=1)
    other.reset(seed=2)
    assert not np.array_equal(aloha.state().body_poses, other.state().body_poses)
    first = other.state().body_poses
    aloha.reset(seed=5)
    other.reset(seed=2)
    np.testing.assert_array_equal(other.state().body_poses, first)
    other.close()


def test_unseeded_resets_continue_the_seeded_stream(aloha):
    def cubes():
        aloha.reset(seed=4)
        out = []
        for _ in range(2):
            aloha.reset()
            out.append(aloha.state().body_poses[0, :2])
        return np.array(out)

    first = cubes()
    np.testing.assert_array_equal(first, cubes())
    assert not np.array_equal(first[0], first[1])


def test_aloha_takes_its_own_start_pose(aloha):
    start = aloha.reset(seed=0).arrays["agent_pos"]
    assert (start >= aloha.spec.action.low).all() and (start <= aloha.spec.action.high).all()


def test_aloha_draws_wider_than_its_framebuffer():
    simulator = GymnasiumSimulator("AlohaTransferCube-v0", image_width=800, image_height=600)
    simulator.reset(seed=0)
    assert simulator.render("top").shape == (600, 800, 3)
    simulator.close()


def test_insertion_task_has_two_free_bodies():
    simulator = GymnasiumSimulator("AlohaInsertion-v0")
    simulator.reset(seed=0)
    assert set(simulator.state().body_names) == {"peg", "socket"}
    simulator.close()


@pytest.mark.parametrize("task", ["Reacher-v5", "Pusher-v5", "HalfCheetah-v5"])
def test_registered_ids_work_unprepared(task):
    """The same actions through the plain environment give the same rewards."""
    simulator = GymnasiumSimulator(task)
    reference = gymnasium.make(task)
    reference.reset(seed=8)
    reference.action_space.seed(0)
    simulator.reset(seed=8)
    for _ in range(30):
        action = reference.action_space.sample()
        _, reward, *_ = reference.step(action)
        assert simulator.step(np.asarray(action, dtype=float)).reward == pytest.approx(
            reward, abs=1e-9
        )
    inner: Any = reference.unwrapped
    assert simulator.spec.control_period_s == pytest.approx(inner.dt)
    simulator.close()


def test_tasks_without_mujoco_are_refused():
    with pytest.raises(FeatureUnsupported, match="'Pendulum-v1' exposes no MuJoCo"):
        GymnasiumSimulator("Pendulum-v1")


def test_unknown_task_lists_the_presets():
    with pytest.raises(NotFound, match="unknown task 'NoSuchTask-v0'.*AlohaTransferCube-v0"):
        GymnasiumSimulator("NoSuchTask-v0")


@pytest.mark.parametrize("task", ["Pusher-v5", "Reacher-v5", "InvertedDoublePendulum-v5"])
def test_a_task_without_a_camera_is_drawn_as_gymnasium_draws_it(task):
    reference = gymnasium.make(task, render_mode="rgb_array", width=160, height=120)
    reference.reset(seed=4)
    simulator = GymnasiumSimulator(task, image_width=160, image_height=120)
    simulator.reset(seed=4)
    (camera,) = simulator.spec.cameras
    assert camera.name == "free"
    difference = np.abs(reference.render().astype(int) - simulator.render("free"))
    assert difference.mean() < 1.0 and simulator.render("free").std() > 1
    simulator.close()
    reference.close()


@pytest.mark.parametrize("task", ["Ant-v5", "Humanoid-v5", "HalfCheetah-v5", "Pusher-v5"])
def test_gymnasiums_robots_step_and_draw(task):
    simulator = GymnasiumSimulator(task, image_width=64, image_height=48)
    simulator.reset(seed=1)
    start = simulator.state(native=True)
    outcomes = [simulator.step(np.full(simulator.spec.action.size, 0.2)) for _ in range(3)]
    simulator.set_state(start)
    again = [simulator.step(np.full(simulator.spec.action.size, 0.2)) for _ in range(3)]
    assert [o.reward for o in outcomes] == [o.reward for o in again]
    assert simulator.spec.max_episode_steps > 0
    assert all(simulator.render(c.name).std() > 1 for c in simulator.spec.cameras)
    simulator.close()


@pytest.mark.parametrize("task", ["Ant-v5", "Pusher-v5"])
def test_actions_of_motors_are_efforts(task):
    simulator = GymnasiumSimulator(task)
    assert simulator.spec.action.control_mode == "joint_effort"
    simulator.close()


def test_the_aloha_hold_action_is_what_its_observation_measures(aloha):
    """Its grippers are no joints: the arms must not move by more than they sag."""
    assert aloha.spec.action.control_mode == "custom"
    before = aloha.reset(seed=0).arrays["agent_pos"]
    for _ in range(10):
        after = aloha.step(before).arrays["agent_pos"]
    np.testing.assert_allclose(after, before, atol=0.05)
