import importlib
import pkgutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from policy_node.execution.open_loop import OpenLoop
from policy_node.policies import builtin, registry, servers
from policy_node.policies.builtin.hold import hold_action
from policy_node.policies.servers.address import SCHEMES
from policy_node.rollout.episodes import EpisodeRunner
from policy_node.rollout.local_environment import LocalEnvironment
from policy_node.rollout.record_trajectory import main as record_main
from policy_node.rollout.record_trajectory import record
from sim_bridge.errors import BridgeError, FeatureUnsupported, InvalidRequest, NotFound
from sim_bridge.settings import plugins
from sim_bridge.simulators.registry import open_simulator
from sim_bridge.trajectories.recording import Recording
from sim_bridge.trajectories.trajectory import Trajectory, load_trajectory
from sim_bridge.types import ArraySpec

COMMITTED = Path(__file__).parents[2] / "data" / "so101_pick_place.npz"


@pytest.fixture(scope="module")
def so101():
    simulator = open_simulator("gymnasium", "SO101PickPlace-v0")
    yield simulator
    simulator.close()


def run(simulator, address, seed, **options):
    source = registry.open_policy(address, simulator.spec)
    strategy = OpenLoop(source.for_client("test"))
    return EpisodeRunner(LocalEnvironment(simulator), strategy, simulator.spec, **options).run(seed)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_expert_places_the_block_from_observations_alone(so101, seed):
    episode = run(so101, "expert", seed)
    assert episode.success and episode.terminated and not episode.truncated
    assert episode.total_reward == 1.0 and 30 < episode.steps < 120


def test_expert_answers_a_repeated_observation_with_the_same_action(so101):
    environment = LocalEnvironment(so101)
    source = registry.open_policy("expert", so101.spec)
    once, twice = source.for_client("a"), source.for_client("b")
    observation = environment.reset(seed=3).observation
    for _ in range(25):
        action = once.infer(observation)
        for _ in range(3):
            again = twice.infer(observation)
        np.testing.assert_array_equal(action, again)
        observation = environment.step(action).observation


def test_expert_starts_over_with_a_new_episode(so101):
    environment = LocalEnvironment(so101)
    policy = registry.open_policy("expert", so101.spec).for_client("a")
    first = environment.reset(seed=3).observation
    begin = policy.infer(first)
    observation = first
    for _ in range(30):
        observation = environment.step(policy.infer(observation)).observation
    assert np.abs(policy.infer(observation) - begin).max() > 0.1
    np.testing.assert_array_equal(policy.infer(environment.reset(seed=3).observation), begin)


def test_expert_says_what_it_lacks(so101, arm_spec, arm_observation):
    with pytest.raises(NotFound, match="'Arm-v0'; valid: SO101PickPlace-v0"):
        registry.open_policy("expert", arm_spec())
    policy = registry.open_policy("expert", so101.spec).for_client("a")
    with pytest.raises(InvalidRequest, match="environment_state"):
        policy.infer(arm_observation())
    blind = replace(arm_observation(), arrays={"environment_state": np.zeros(6)})
    with pytest.raises(InvalidRequest, match="lacks the joints so101/shoulder_pan"):
        policy.infer(blind)


def test_hold_keeps_the_so101_where_it_is(so101):
    """In mid-air: from home, the task itself turns the gripper down whatever the action is."""
    environment = LocalEnvironment(so101)
    expert = registry.open_policy("expert", so101.spec).for_client("a")
    hold = registry.open_policy("hold", so101.spec).for_client("a")
    reply = environment.reset(seed=5)
    for _ in range(12):
        reply = environment.step(expert.infer(reply.observation))
    for _ in range(3):  # until it has come to rest
        reply = environment.step(hold.infer(reply.observation))
    held, jaw = reply.state.joint_positions, reply.observation.joint("so101/gripper")
    for _ in range(20):
        reply = environment.step(hold.infer(reply.observation))
    assert np.abs(reply.state.joint_positions - held).max() < 0.06
    assert reply.observation.joint("so101/gripper") == pytest.approx(jaw, abs=0.01)
    assert jaw > 1.0


def test_hold_action_by_control_mode(arm_spec, arm_observation):
    observation = arm_observation()
    spec = arm_spec("joint_position")
    np.testing.assert_allclose(hold_action(spec, observation), [-0.4, 1.2, 0.5])
    last = np.array([0.1, 0.6, 0.9])
    np.testing.assert_array_equal(hold_action(spec, observation, last), last)
    for mode in ("joint_velocity", "joint_effort"):
        zero_allowed = replace(arm_spec(mode), action=replace(spec.action, control_mode=mode))
        assert not hold_action(zero_allowed, observation, last).any()
    with pytest.raises(FeatureUnsupported, match="'custom' of Arm-v0; valid: joint_position"):
        registry.open_policy("hold", arm_spec("custom"))


def test_hold_action_where_the_task_observes_what_an_absolute_action_sets(
    arm_spec, arm_observation
):
    spec = arm_spec("custom")
    measured = ArraySpec("agent_pos", "float64", (3,), np.array([-np.inf]), np.array([np.inf]))
    spec = replace(spec, observations=(*spec.observations, measured))
    pose = np.array([0.1, 0.6, 0.9])
    observation = replace(arm_observation(), arrays={"agent_pos": pose})
    np.testing.assert_array_equal(hold_action(spec, observation), pose)
    last = np.array([0.2, 0.7, 0.8])
    np.testing.assert_array_equal(hold_action(spec, observation, last), last)


def test_hold_does_not_follow_a_sagging_arm(arm_spec, arm_observation):
    policy = registry.open_policy("hold", arm_spec()).for_client("a")
    first = policy.infer(arm_observation(step=0, elbow=1.2))
    np.testing.assert_array_equal(policy.infer(arm_observation(step=1, elbow=1.1)), first)
    new_episode = policy.infer(arm_observation(step=0, episode=2, elbow=1.1))
    assert new_episode[0, 1] == pytest.approx(1.1)


def test_committed_trajectory_is_small_and_replays_bit_for_bit(so101):
    assert COMMITTED.stat().st_size < 200_000
    recorded = load_trajectory(COMMITTED)
    assert recorded.success
    recording = Recording(so101.spec)
    again = run(so101, f"replay:{COMMITTED}", recorded.seed, subscribers=[recording])
    assert again.success and again.steps == recorded.num_steps
    np.testing.assert_array_equal(recording.trajectory.actions, recorded.actions)
    np.testing.assert_array_equal(recording.trajectory.joint_positions, recorded.joint_positions)
    np.testing.assert_array_equal(recording.trajectory.body_poses, recorded.body_poses)


def test_record_command_makes_the_committed_file_again(tmp_path, capsys):
    path = tmp_path / "again.npz"
    assert record_main(["--policy", "expert", "--output", str(path)]) == 0
    again, committed = load_trajectory(path), load_trajectory(COMMITTED)
    np.testing.assert_array_equal(again.actions, committed.actions)
    assert "47 steps, success" in capsys.readouterr().out
    assert record_main(["--task", "Nope-v0", "--output", str(path)]) == 2
    assert "unknown task 'Nope-v0'" in capsys.readouterr().err


def test_replay_follows_the_step_of_the_observation(so101, arm_observation):
    recorded = load_trajectory(COMMITTED)
    policy = registry.open_policy(f"replay:{COMMITTED}?horizon=5", so101.spec).for_client("a")
    np.testing.assert_array_equal(policy.infer(arm_observation(step=7)), recorded.actions[7:12])
    assert len(policy.infer(arm_observation(step=recorded.num_steps - 2))) == 2
    after = policy.infer(arm_observation(step=recorded.num_steps))
    np.testing.assert_array_equal(after, [[0, 0, 0, recorded.actions[-1, 3]]])


def test_record_keeps_open_loop_chunks_bounded_by_max_steps(so101):
    trajectory = record("gymnasium", "SO101PickPlace-v0", f"replay:{COMMITTED}", 0, 20)
    assert trajectory.num_steps == 20 and not trajectory.success


def _other_robot(path) -> Path:
    other = Trajectory(
        "Panda-v0", "test", ("panda",), 0.1, ("dx", "dy", "dz", "gripper"),
        np.zeros((2, 4)), np.zeros(2), times_s=np.zeros(1), joint_names=("panda/joint1",),
        joint_positions=np.zeros((1, 1)), joint_velocities=np.zeros((1, 1)),
        body_poses=np.zeros((1, 0, 7)), body_twists=np.zeros((1, 0, 6)),
        target_positions=np.zeros((1, 0)),
    )  # fmt: skip
    return other.save(path)


def test_bad_addresses_are_refused_with_the_valid_forms(so101, tmp_path):
    cut = tmp_path / "cut.npz"
    cut.write_bytes(COMMITTED.read_bytes()[:4000])
    foreign = _other_robot(tmp_path / "panda.npz")
    for address, error, message in (
        (
            "exprt",
            NotFound,
            "unknown policy 'exprt'; valid: .*replay:FILE, .*; did you mean 'expert'",
        ),
        ("", NotFound, "unknown policy ''"),
        ("replay:", InvalidRequest, "needs a file"),
        ("replay:/no/such.npz", NotFound, "no trajectory file '/no/such.npz'"),
        (f"replay:{cut}", InvalidRequest, r"cut.npz' \(4000 bytes\) is truncated"),
        (f"replay:{foreign}", InvalidRequest, "panda/joint1.*missing.*so101/shoulder_pan"),
        (f"replay:{COMMITTED}?horizon=0", InvalidRequest, "horizon .*'0'; valid: 1 or more"),
        (f"replay:{COMMITTED}?speed=2", NotFound, "'speed'; valid: horizon"),
        ("no/such/model.onnx", NotFound, "no checkpoint 'no/such/model.onnx'"),
        ("ftp://host", BridgeError, "'ftp'"),
        ("python:os", InvalidRequest, "valid: MODULE:FUNCTION"),
        ("python:no_such_module:f", NotFound, "no_such_module"),
        ("python:os:no_such", NotFound, "no_such"),
        ("expert:7", InvalidRequest, "takes no argument"),
    ):
        with pytest.raises(error, match=message):
            registry.open_policy(address, so101.spec)
    registry.check_address(f"replay:{foreign}")  # only the simulator can tell
    with pytest.raises(InvalidRequest, match="truncated"):
        registry.check_address(f"replay:{cut}")


def test_every_file_with_a_policy_is_in_the_tables():
    """A file that was forgotten there could not be asked for."""
    listed = {named.opens for named in registry.NAMED.values()}
    listed |= {scheme.opens for scheme in SCHEMES.values()}
    for package in (builtin, servers):
        for module in pkgutil.iter_modules(package.__path__):
            name = f"{package.__name__}.{module.name}"
            if hasattr(importlib.import_module(name), "open_source"):
                assert f"{name}:open_source" in listed
    for opens in listed:
        assert callable(plugins.import_function(opens))


def test_every_form_is_among_the_valid_ones():
    said = " ".join(registry.VALID_FORMS)
    for form, _ in registry.forms():
        assert form.partition("//")[0] in said or form == "a path"
