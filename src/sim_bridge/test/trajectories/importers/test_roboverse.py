"""RoboVerse v2 pickles: layout, gzip, several robots, hostile files, replay on a real bridge."""

import gzip
import os
import pickle
import pickletools

import numpy as np
import pytest

from sim_bridge.errors import InvalidRequest, NotFound
from sim_bridge.simulators.mujoco.simulator import MujocoSimulator
from sim_bridge.trajectories.importers.formats import open_trajectory

JOINTS = ("shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll", "gripper")
STEPS = 30


def entry(positions, cube=(0.25, 0.05, 0.02), yaw=0.0):
    """One state: every entity with pos, rot (wxyz) and, for robots, dof_pos."""
    return {
        "so101": {
            "pos": [0.0, 0.0, 0.0],
            "rot": [1.0, 0.0, 0.0, 0.0],
            "dof_pos": dict(zip(JOINTS, positions, strict=True)),
        },
        "block": {
            "pos": np.array(cube, dtype=np.float32),
            "rot": np.array([np.cos(yaw / 2), 0.0, 0.0, np.sin(yaw / 2)]),
        },
    }


def actions():
    """Targets ``(30, 6)`` [rad], a slow wave."""
    steps = np.arange(STEPS)[:, None]
    return 0.4 * np.sin(steps / 12 + np.arange(len(JOINTS))) + [0, 0, 0, 0, 0, 0.5]


def document(states=None, robot="so101"):
    targets = [
        {"dof_pos_target": dict(zip(JOINTS, map(float, row), strict=True))} for row in actions()
    ]
    demo = {"init_state": entry([0.1, -0.2, 0.3, 0.0, 0.2, 0.5], yaw=0.8), "actions": targets}
    return {robot: [{**demo, "states": states, "extra": None}] * 2}


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "pick_cube_v2.pkl"
    path.write_bytes(pickle.dumps(document()))
    return path


def test_actions_and_initial_state(file):
    trajectory = open_trajectory(f"{file}?control_period_s=0.02&episode=1&seed=4")
    assert trajectory.action_names == tuple(f"so101/{joint}" for joint in sorted(JOINTS))
    column = trajectory.action_names.index("so101/elbow_flex")
    np.testing.assert_array_equal(trajectory.actions[:, column], actions()[:, 2])
    assert (trajectory.num_states, trajectory.seed) == (1, 4)
    state = trajectory.state(0)
    assert state.joint_positions[state.joint_names.index("so101/gripper")] == 0.5
    pose = state.body_poses[state.body_names.index("block")]
    half = 0.4  # of the yaw; quaternions go from wxyz to xyzw
    expected = [0.25, 0.05, 0.02, 0, 0, np.sin(half), np.cos(half)]
    np.testing.assert_allclose(pose, expected, atol=1e-7)


def test_gzip_and_all_protocols(tmp_path):
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        path = tmp_path / f"p{protocol}_v2.pkl.gz"
        path.write_bytes(gzip.compress(pickle.dumps(document(), protocol)))
        assert open_trajectory(f"{path}?control_period_s=0.02").num_steps == STEPS


def test_states_become_actions_as_they_are_not_aligned(tmp_path):
    positions = np.random.default_rng(0).uniform(-0.5, 0.5, (12, len(JOINTS)))
    path = tmp_path / "walk_v2.pkl"
    path.write_bytes(pickle.dumps(document([entry(list(row)) for row in positions])))
    trajectory = open_trajectory(f"{path}?control_period_s=0.02&states=all")
    assert (trajectory.num_states, trajectory.num_steps) == (12, 11)
    column = trajectory.action_names.index("so101/gripper")
    np.testing.assert_array_equal(trajectory.actions[:, column], positions[1:, 5])


class Bomb:
    def __init__(self, target, *arguments):
        self.call = target, arguments

    def __reduce__(self):
        return self.call


def hostile(tmp_path):
    flag = tmp_path / "executed"
    yield "os.system", Bomb(os.system, f"touch {flag}")
    yield "eval", Bomb(eval, f"open({str(flag)!r}, 'w')")
    yield "getattr", Bomb(getattr, "text", "upper")
    yield "in an object array", np.array([Bomb(os.system, f"touch {flag}"), 1], dtype=object)
    yield "np.load", Bomb(np.load, str(flag))
    yield "np.dtype of a class", Bomb(np.dtype, Bomb)


def test_nothing_in_a_file_is_run(tmp_path):
    for index, (name, payload) in enumerate(hostile(tmp_path)):
        content = document()
        content["so101"][0]["init_state"]["block"]["pos"] = payload
        path = tmp_path / f"hostile{index}_v2.pkl"
        path.write_bytes(pickle.dumps(content))
        assert "REDUCE" in {op.name for op, *_ in pickletools.genops(path.read_bytes())}, name
        with pytest.raises(InvalidRequest, match="refused a pickle"):
            open_trajectory(f"{path}?control_period_s=0.02")
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize(
    "content, message",
    [
        (b"", "refused a pickle"),
        (b"not a pickle", "refused a pickle"),
        (pickle.dumps(document())[:-200], "refused a pickle"),
        (gzip.compress(pickle.dumps(document()))[:-40], "cannot be read"),
        (pickle.dumps([1, 2]), "holds no robots"),
        (pickle.dumps({"so101": [{"actions": []}]}), "not a RoboVerse v2 trajectory"),
        (pickle.dumps({"so101": []}), "no episode 0"),
    ],
)
def test_damaged_files_are_named(tmp_path, content, message):
    path = tmp_path / "damaged_v2.pkl"
    path.write_bytes(content)
    with pytest.raises(InvalidRequest, match=f"damaged_v2.pkl.*{message}|{message}"):
        open_trajectory(f"{path}?control_period_s=0.02")


def test_choices_are_listed(file, tmp_path):
    with pytest.raises(InvalidRequest, match="no episode 7; valid: 0 to 1"):
        open_trajectory(f"{file}?episode=7&control_period_s=0.02")
    with pytest.raises(InvalidRequest, match="give control_period_s"):
        open_trajectory(str(file))
    with pytest.raises(NotFound, match="unknown robot 'franka'; valid: so101"):
        open_trajectory(f"{file}?robot=franka&control_period_s=0.02")
    with pytest.raises(InvalidRequest, match="holds no states"):
        open_trajectory(f"{file}?states=all&control_period_s=0.02")
    both = tmp_path / "both_v2.pkl"
    both.write_bytes(pickle.dumps({**document(), **document(robot="franka")}))
    with pytest.raises(InvalidRequest, match="give robot=so101 or robot=franka"):
        open_trajectory(f"{both}?control_period_s=0.02")


def test_replayed_on_a_bridge_bit_for_bit(file, replay_on):
    printed, state = replay_on("mujoco", "so101", file, "--control-period-s", "0.02")
    assert f"done: {STEPS} steps" in printed
    trajectory = open_trajectory(f"{file}?control_period_s=0.02")
    simulator = MujocoSimulator("so101")
    simulator.reset()
    first = trajectory.state(0)
    keep = first.body_names.index("block")  # the arm's base is fixed
    simulator.set_state(
        type(first)(
            joint_names=first.joint_names,
            joint_positions=first.joint_positions,
            joint_velocities=first.joint_velocities,
            body_names=("block",),
            body_poses=first.body_poses[keep : keep + 1],
            body_twists=np.zeros((1, 6)),
        )
    )
    for row in actions():
        simulator.step(row)
    local = simulator.state()
    np.testing.assert_array_equal(state.joint_positions, local.joint_positions)
    np.testing.assert_array_equal(state.body_poses, local.body_poses)


def test_states_restored_on_a_bridge(tmp_path, replay_on):
    positions = np.random.default_rng(1).uniform(-0.5, 0.5, (12, len(JOINTS)))
    path = tmp_path / "walk_v2.pkl"
    path.write_bytes(pickle.dumps(document([entry(list(row)) for row in positions])))
    words = ("--restore-states", "--control-period-s", "0.02")
    printed, state = replay_on("sapien", "so101", path, *words)
    assert "done: 12 steps" in printed and "largest joint error" in printed
    found = [state.joint_positions[state.joint_names.index(f"so101/{j}")] for j in JOINTS]
    np.testing.assert_allclose(found, positions[-1], atol=1e-6)


def test_another_robot_is_refused(tmp_path, replay_on):
    path = tmp_path / "franka_v2.pkl"
    content = document(robot="franka")
    for demo in content["franka"]:
        base = entry([0.0] * 6)["so101"]
        demo["init_state"] = {"franka": {**base, "dof_pos": {"panda_joint1": 0.1}}}
        demo["actions"] = [{"dof_pos_target": {"panda_joint1": 0.2}}]
    path.write_bytes(pickle.dumps(content))
    words = ("--control-period-s", "0.02")
    message, _ = replay_on("mujoco", "so101", path, *words, status=2)
    assert "does not fit so101" in message
    assert "actions only in the trajectory: franka/panda_joint1" in message


@pytest.mark.parametrize("rename", ["so101/elbow_flex:arm/knee", "elbow_flex:arm/knee"])
def test_joints_are_renamed_by_their_full_or_bare_name(file, rename):
    trajectory = open_trajectory(f"{file}?control_period_s=0.02&rename={rename}")
    assert "arm/knee" in trajectory.action_names and "arm/knee" in trajectory.joint_names
    assert "so101/elbow_flex" not in (*trajectory.action_names, *trajectory.joint_names)


@pytest.mark.parametrize("option", ["rename=elbow_flexx:knee", "scale=elbow_flexx:2"])
def test_names_that_the_file_does_not_have_are_errors(file, option):
    with pytest.raises(InvalidRequest, match="of 'elbow_flexx': the file has .*did you mean"):
        open_trajectory(f"{file}?control_period_s=0.02&{option}")


def test_a_gzip_that_unpacks_to_far_more_is_stopped_on_the_way(tmp_path):
    path = tmp_path / "bomb_v2.pkl.gz"
    with gzip.open(path, "wb") as file:
        file.write(pickle.PROTO + b"\x05" + pickle.BINBYTES8 + (1 << 30).to_bytes(8, "little"))
        for _ in range(256):
            file.write(bytes(1 << 20))
    assert path.stat().st_size < 1 << 19
    with pytest.raises(InvalidRequest, match="unpacks to more than (\\d+) bytes") as refused:
        open_trajectory(f"{path}?control_period_s=0.02")
    assert int(str(refused.value).split()[-2]) < 1 << 26
