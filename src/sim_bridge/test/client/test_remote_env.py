"""RemoteEnv against real bridge processes."""

import signal

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.wrappers import RecordEpisodeStatistics

from sim_bridge import RemoteEnv, RemoteVectorEnv
from sim_bridge.errors import InvalidRequest, LeaseHeld, SequenceGap, TimedOut
from sim_bridge.processes.testing import Process, free_domain_id, wait_until

pytestmark = pytest.mark.process

HOLD = np.array([0.0, 0.0, 0.0, 1.0], dtype=np.float32)


@pytest.fixture
def env(bridge, domain_id):
    env = RemoteEnv(domain_id=domain_id, connect_timeout_s=60.0, timeout_s=30.0)
    yield env
    env.close()


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_passes_gymnasiums_own_check(env):
    check_env(env, skip_render_check=True)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_task_without_a_camera_passes_the_check_too(tmp_path):
    domain_id = free_domain_id()
    arguments = ["--ros-args", "-p", "task:=Pusher-v5"]
    environment = {"ROS_DOMAIN_ID": str(domain_id)}
    with Process.module("sim_bridge", *arguments, log=tmp_path / "log", env=environment):
        env = RemoteEnv(domain_id=domain_id, connect_timeout_s=60.0, timeout_s=30.0)
        check_env(env)
        assert env.render().shape == (480, 640, 3)
        env.close()


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_gymnasium_makes_it_by_name(bridge, domain_id):
    made = gymnasium.make(
        "twinstep/Remote-v0", namespace="", domain_id=domain_id, connect_timeout_s=60.0
    )
    assert isinstance(made.unwrapped, RemoteEnv)
    env = RecordEpisodeStatistics(made)
    try:
        check_env(made.unwrapped, skip_render_check=True)
        env.reset(seed=3)
        rewards, done = [], False
        while not done:
            _, reward, terminated, truncated, info = env.step(HOLD)
            rewards.append(float(reward))
            done = terminated or truncated
        assert info["episode"]["l"] == len(rewards)
        assert info["episode"]["r"] == pytest.approx(sum(rewards), rel=1e-4)
    finally:
        env.close()


def test_equals_the_local_environment_step_by_step(env):
    import lerobot_env_so101  # noqa: F401

    local = gymnasium.make(
        "lerobot_env_so101/SO101PickPlace-v0", random_block_position=True, action_scale=0.025
    )
    rng = np.random.default_rng(1)
    here, _ = local.reset(seed=11)
    there, _ = env.reset(seed=11)
    for _ in range(40):
        for key in here:
            assert np.array_equal(here[key], there[key]) and here[key].dtype == there[key].dtype
        action = rng.uniform([-1, -1, -1, 0], 1).astype(np.float32)
        here, reward, *ends, _ = local.step(action)
        there, remote_reward, *remote_ends, _ = env.step(action)
        assert (reward, ends) == (remote_reward, remote_ends)
        if any(ends):
            break
    local.close()


def test_a_chunk_equals_single_steps(env):
    actions = np.random.default_rng(2).uniform([-1, -1, -1, 0], 1, (12, 4)).astype(np.float32)
    env.reset(seed=3)
    singles = [env.step(a) for a in actions]
    one_by_one = env.get_state()
    env.reset(seed=3)
    observation, rewards, *_ = env.step_chunk(actions)
    assert rewards.tolist() == [s[1] for s in singles]
    assert np.array_equal(observation["agent_pos"], singles[-1][0]["agent_pos"])
    assert np.array_equal(env.get_state().body_poses, one_by_one.body_poses)


@pytest.mark.parametrize("seed", [2**32, 2**70])
def test_a_seed_that_no_message_holds_is_refused(env, seed):
    with pytest.raises(InvalidRequest, match=f"seed is {seed}; valid: 0 to 4294967295"):
        env.reset(seed=seed)
    env.reset(seed=2**32 - 1)


def test_render_shows_the_scene(env):
    env.reset(seed=0)
    image = env.render()
    assert image.shape == (480, 640, 3) and image.std() > 10


def test_reset_from_a_state(env):
    env.reset(seed=0)
    env.step_chunk(np.tile(HOLD, (5, 1)))
    state = env.get_state()
    env.reset(seed=9)
    env.reset(seed=9, options={"state": state})
    assert np.array_equal(env.get_state().joint_positions, state.joint_positions)


def test_a_second_environment_is_refused_until_the_first_closes(env, domain_id):
    env.reset(seed=0)
    other = RemoteEnv(domain_id=domain_id, connect_timeout_s=60.0, timeout_s=30.0)
    with pytest.raises(LeaseHeld):
        other.reset(seed=0)
    env.close()
    other.reset(seed=0)
    other.close()


def test_no_bridge_is_a_clear_error():
    with pytest.raises(TimedOut, match="no bridge on 'nowhere/spec'"):
        RemoteEnv("nowhere", domain_id=free_domain_id(), connect_timeout_s=0.5)


def _start(domain_id: int, log) -> Process:
    return Process.module("sim_bridge", log=log, env={"ROS_DOMAIN_ID": str(domain_id)})


def test_a_bridge_that_is_killed_and_restarted(tmp_path):
    domain_id = free_domain_id()
    with _start(domain_id, tmp_path / "first") as first:
        env = RemoteEnv(domain_id=domain_id, connect_timeout_s=60.0, timeout_s=3.0)
        env.reset(seed=0)
        env.step(HOLD)
        first.signal(signal.SIGKILL)
        first.wait(10.0)
        with pytest.raises(TimedOut):
            env.step(HOLD)
    with _start(domain_id, tmp_path / "second"):
        error = wait_until(lambda: _error_of_a_step(env), 60.0, "the new bridge to refuse the step")
        assert "restarted" in str(error)
        observation, _ = env.reset(seed=0)
        assert observation["agent_pos"].shape == (14,)
        env.step(HOLD)
        env.close()


def _error_of_a_step(env):
    """None until the restarted bridge was discovered and answers."""
    try:
        env.step(HOLD)
    except TimedOut:
        return None
    except SequenceGap as error:
        return error
    raise AssertionError("a step of another bridge's episode was taken")


def test_two_bridges_as_a_vector_environment(tmp_path):
    domain_id = free_domain_id()
    arguments = ["--ros-args", "-r", "__ns:=/env_{}"]
    processes = [
        Process.module(
            "sim_bridge",
            *[a.format(i) for a in arguments],
            log=tmp_path / f"{i}",
            env={"ROS_DOMAIN_ID": str(domain_id)},
        )
        for i in range(2)
    ]
    with processes[0], processes[1]:
        envs = RemoteVectorEnv(
            ["env_0", "env_1"], domain_id=domain_id, connect_timeout_s=60.0, timeout_s=30.0
        )
        observation, _ = envs.reset(seed=5)
        assert observation["agent_pos"].shape == (2, 14)
        for _ in range(3):
            observation, rewards, terminated, truncated, infos = envs.step(np.tile(HOLD, (2, 1)))
        assert rewards.shape == terminated.shape == truncated.shape == (2,)
        cubes = observation["environment_state"][:, :3]
        assert not np.array_equal(cubes[0], cubes[1]), "seeds 5 and 6 place the cube differently"
        assert [e.get_state().step for e in envs.envs] == [3, 3]
        envs.close()
