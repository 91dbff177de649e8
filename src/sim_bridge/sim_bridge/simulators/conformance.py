"""The tests that every simulator passes, for pytest.

A test module names its simulators and gets the tests by subclassing:

    @pytest.fixture(scope="module")
    def case():
        return ConformanceCase("mine", lambda: MySimulator("task"))

    class TestMine(SimulatorConformance):
        pass

A simulator without cameras or without a model skips what needs one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from sim_bridge.files.model_files import sha256_of
from sim_bridge.files.model_names import body_names, joint_names
from sim_bridge.simulators.protocol import Simulator
from sim_bridge.types import LinkPoses, SimState

_STEPS = 20
_RATES_PER_UNIT = 100.0
_LINK_TOLERANCE_M = 1e-3
_LINK_TOLERANCE_RAD = np.deg2rad(0.1)
_UNIT = 1e-5


@dataclass(frozen=True)
class ConformanceCase:
    """A simulator under test.

    ``repeat_tolerance`` bounds how far two runs of the same actions from a restored state may
    be apart in 20 steps [m, rad], and a hundred times it their rates [m/s, rad/s]; 0 asks for the
    same bits. ``write_tolerance`` is the precision of a written and read state, likewise.
    ``seeds_matter``: another seed, another start. ``alone``: a process holds one at a time.
    """

    name: str
    open: Callable[[], Simulator]
    repeat_tolerance: float = 0.0
    write_tolerance: float = 1e-6
    seeds_matter: bool = True
    alone: bool = False


class SimulatorConformance:
    """Needs a fixture ``case`` of scope module."""

    @pytest.fixture(scope="class")
    @classmethod
    def simulator(cls, case: ConformanceCase) -> Iterator[Simulator]:
        simulator = case.open()
        yield simulator
        simulator.close()

    def test_spec_is_consistent(self, simulator):
        spec = simulator.spec
        action = spec.action
        assert spec.simulator and spec.simulator_version and spec.task
        assert spec.control_period_s > 0
        assert len(action.low) == len(action.high) == len(action.units) == action.size > 0
        assert len(set(action.names)) == action.size
        assert (action.low < action.high).all()
        joints = [joint.name for joint in spec.joints]
        assert len(set(joints)) == len(joints) > 0
        assert all(joint.lower < joint.upper for joint in spec.joints)
        assert spec.robot_entities and len(spec.robot_entities) == len(spec.base_frames)
        for entity in spec.robot_entities:
            assert any(name.startswith(f"{entity}/") for name in joints), entity

    def test_model_reference_is_that_of_the_files(self, simulator):
        files = _files_or_skip(simulator)
        assert simulator.spec.model.sha256 == sha256_of(files)

    def test_state_fits_the_spec(self, simulator):
        spec = simulator.spec
        simulator.reset(seed=1)
        state = simulator.state()
        assert set(state.joint_names) == {joint.name for joint in spec.joints}
        assert set(state.ball_names) == set(spec.ball_joints)
        _check_shapes(state)
        _check_values(state)
        for joint in spec.joints:
            position = state.joint_positions[state.joint_names.index(joint.name)]
            assert joint.lower - 1e-3 <= position <= joint.upper + 1e-3, joint.name

    def test_base_frames_are_links(self, simulator):
        simulator.reset(seed=1)
        links = simulator.link_poses()
        assert len(set(links.names)) == len(links.names) == len(links.poses)
        assert set(simulator.spec.base_frames) <= set(links.names)

    def test_same_seed_same_episode(self, simulator, case):
        actions = _actions(simulator)
        first = _run(simulator, actions, seed=5)
        again = _run(simulator, actions, seed=5)
        _assert_same(first, again, case.repeat_tolerance)

    def test_another_seed_starts_elsewhere(self, simulator, case):
        if not case.seeds_matter:
            pytest.skip("the task always starts at the same place")
        starts = []
        for seed in (1, 2):
            simulator.reset(seed=seed)
            starts.append(simulator.state())
        assert not (
            np.array_equal(starts[0].joint_positions, starts[1].joint_positions)
            and np.array_equal(starts[0].body_poses, starts[1].body_poses)
        )

    def test_observation_fits_the_spec(self, simulator):
        described = {spec.name: spec for spec in simulator.spec.observations}
        for outcome in (simulator.reset(seed=1), simulator.step(_actions(simulator)[0])):
            assert set(outcome.arrays) == set(described)
            for name, array in outcome.arrays.items():
                assert np.shape(array) == described[name].shape, name
                assert np.isfinite(array).all(), name
            assert np.isfinite(outcome.reward)

    def test_time_advances_by_the_control_period(self, simulator):
        simulator.reset(seed=1)
        start = simulator.state().time_s
        for count, action in enumerate(_actions(simulator)[:10], 1):
            simulator.step(action)
            elapsed = simulator.state().time_s - start
            assert elapsed == pytest.approx(count * simulator.spec.control_period_s, abs=1e-6)

    def test_states_stay_valid_under_any_action(self, simulator):
        for state in _run(simulator, _actions(simulator, scale=1.0), seed=2):
            _check_values(state)

    def test_actions_move_the_robot(self, simulator):
        states = _run(simulator, _actions(simulator), seed=1)
        assert np.abs(states[-1].joint_positions - states[0].joint_positions).max() > 1e-3

    def test_a_state_is_a_snapshot(self, simulator):
        simulator.reset(seed=1)
        state = simulator.state()
        kept = state.joint_positions.copy(), state.body_poses.copy()
        links = simulator.link_poses()
        kept_links = links.poses.copy()
        for action in _actions(simulator)[:5]:
            simulator.step(action)
        assert np.array_equal(state.joint_positions, kept[0])
        assert np.array_equal(state.body_poses, kept[1])
        assert np.array_equal(links.poses, kept_links)

    def test_state_survives_a_round_trip(self, simulator, case):
        wanted = _somewhere(simulator)
        _run(simulator, _actions(simulator, draw=1), seed=9)
        simulator.set_state(wanted)
        _assert_close(simulator.state(), wanted, case.write_tolerance)

    def test_portable_state_needs_no_engine_block(self, simulator, case):
        wanted = replace(_somewhere(simulator), native=b"", native_format="")
        _run(simulator, _actions(simulator, draw=1), seed=9)
        simulator.set_state(wanted)
        _assert_close(simulator.state(), wanted, case.write_tolerance)

    def test_restored_state_repeats_the_future(self, simulator, case):
        actions = _actions(simulator, draw=2)
        start = _somewhere(simulator)
        future = _follow(simulator, actions)
        _run(simulator, _actions(simulator, draw=3), seed=11)
        simulator.set_state(start)
        _assert_same(future, _follow(simulator, actions), case.repeat_tolerance)

    def test_reset_starts_from_a_given_state(self, simulator, case):
        actions = _actions(simulator, draw=2)
        start = _somewhere(simulator)
        future = _follow(simulator, actions)
        simulator.reset(seed=12, state=start)
        _assert_close(simulator.state(), start, case.write_tolerance)
        _assert_same(future, _follow(simulator, actions), case.repeat_tolerance)

    def test_partial_state_keeps_the_rest(self, simulator, case):
        before = replace(_somewhere(simulator), native=b"", native_format="")
        name = before.joint_names[0]
        limits = next(joint for joint in simulator.spec.joints if joint.name == name)
        middle = 0.0 if np.isinf(limits.lower) else 0.5 * (limits.lower + limits.upper)
        value = middle + 0.01
        simulator.set_state(
            SimState(
                joint_names=(name,),
                joint_positions=np.array([value]),
                joint_velocities=np.array([0.0]),
            )
        )
        positions, velocities = before.joint_positions.copy(), before.joint_velocities.copy()
        positions[0], velocities[0] = value, 0.0
        wanted = replace(before, joint_positions=positions, joint_velocities=velocities)
        _assert_close(simulator.state(), wanted, case.write_tolerance)

    def test_body_can_be_moved_alone(self, simulator, case):
        before = _somewhere(simulator)
        if not before.body_names:
            pytest.skip("the scene has no free body")
        pose = before.body_poses[:1] + [0.01, -0.02, 0.3, 0, 0, 0, 0]
        pose[:, 3:] = [0.5, -0.5, 0.5, 0.5]
        twist = np.array([[0.1, -0.2, 0.3, 0.4, -0.5, 0.6]])
        simulator.set_state(
            SimState(body_names=before.body_names[:1], body_poses=pose, body_twists=twist)
        )
        after = simulator.state()
        tolerance = case.write_tolerance
        moved = after.body_poses[0]
        np.testing.assert_allclose(moved, _same_sign(pose[0], moved), atol=tolerance)
        np.testing.assert_allclose(after.body_twists[0], twist[0], atol=tolerance)
        np.testing.assert_allclose(after.joint_positions, before.joint_positions, atol=tolerance)
        np.testing.assert_allclose(after.body_poses[1:], before.body_poses[1:], atol=tolerance)

    def test_model_has_the_joints_of_the_spec(self, simulator, tmp_path):
        model = _model_or_skip(simulator, tmp_path)
        known = joint_names(model)
        for joint in simulator.spec.joints:
            assert joint.name in known or joint.name.partition("/")[2] in known, joint.name

    def test_links_match_the_model(self, simulator, tmp_path):
        """The mirror poses this model by name: every robot link must come out where it is."""
        model = _model_or_skip(simulator, tmp_path)
        random = np.random.default_rng(4)
        simulator.reset(seed=1)
        for _ in range(5):
            simulator.set_state(_random_state(simulator, random))
            state, links = simulator.state(), simulator.link_poses()
            _check_links(model, state, links, simulator.spec.robot_entities)

    def test_cameras_draw_the_scene(self, simulator):
        cameras = simulator.spec.cameras
        if not cameras:
            pytest.skip("no cameras")
        simulator.reset(seed=1)
        for camera in cameras:
            image = simulator.render(camera.name)
            assert image.shape == (camera.height, camera.width, 3), camera.name
            assert image.dtype == np.uint8
            assert image.std() > 1.0, f"{camera.name} shows one colour"

    def test_closes_and_opens_again(self, simulator, case):
        if case.alone:
            simulator.close()
        for _ in range(2):
            simulator = case.open()
            simulator.reset(seed=1)
            simulator.close()


def _actions(simulator: Simulator, draw: int = 0, scale: float = 0.3) -> np.ndarray:
    """Smooth random actions ``(20, A)`` around the middle of the bounds, ``scale`` of them wide."""
    spec = simulator.spec.action
    low = np.where(np.isfinite(spec.low), spec.low, -1.0)
    high = np.where(np.isfinite(spec.high), spec.high, 1.0)
    random = np.random.default_rng(100 + draw)
    ends = random.uniform(-1.0, 1.0, (2, spec.size))
    blend = np.linspace(0.0, 1.0, _STEPS)[:, None]
    wave = ends[0] * (1 - blend) + ends[1] * blend
    return (low + high) / 2 + scale * wave * (high - low) / 2


def _run(simulator: Simulator, actions: np.ndarray, seed: int) -> list[SimState]:
    simulator.reset(seed=seed)
    return [simulator.state(), *_follow(simulator, actions)]


def _follow(simulator: Simulator, actions: np.ndarray) -> list[SimState]:
    states = []
    for action in actions:
        simulator.step(action)
        states.append(simulator.state())
    return states


def _somewhere(simulator: Simulator) -> SimState:
    """A state with motion in it, some steps into an episode."""
    _run(simulator, _actions(simulator)[:7], seed=3)
    return simulator.state(native=True)


def _check_shapes(state: SimState) -> None:
    joints, bodies = len(state.joint_names), len(state.body_names)
    assert len(set(state.body_names)) == bodies
    assert state.joint_positions.shape == state.joint_velocities.shape == (joints,)
    assert state.body_poses.shape == (bodies, 7)
    assert state.body_twists.shape == (bodies, 6)
    balls = len(state.ball_names)
    assert len(set(state.ball_names) | set(state.joint_names)) == balls + joints
    assert state.ball_rotations.shape == (balls, 4)
    assert state.ball_velocities.shape == (balls, 3)
    assert state.target_positions.shape == (len(state.target_names),)
    assert set(state.target_names) <= set(state.joint_names)


def _check_values(state: SimState) -> None:
    for name in _NUMBERS:
        assert np.isfinite(getattr(state, name)).all(), name
    for turns in (state.body_poses[:, 3:], state.ball_rotations):
        np.testing.assert_allclose(np.linalg.norm(turns, axis=1), 1.0, atol=_UNIT)


_NUMBERS = (
    "joint_positions",
    "joint_velocities",
    "body_poses",
    "body_twists",
    "ball_rotations",
    "ball_velocities",
    "target_positions",
)
_RATES = ("joint_velocities", "body_twists", "ball_velocities")


def _assert_same(first: list[SimState], second: list[SimState], tolerance: float) -> None:
    assert len(first) == len(second)
    for a, b in zip(first, second, strict=True):
        if tolerance:
            _assert_close(a, b, tolerance)
            continue
        for name in _NUMBERS:
            assert np.array_equal(getattr(a, name), getattr(b, name)), name


def _assert_close(found: SimState, wanted: SimState, tolerance: float) -> None:
    assert found.joint_names == wanted.joint_names
    assert found.body_names == wanted.body_names
    assert found.ball_names == wanted.ball_names
    for name in _NUMBERS:
        a, b = getattr(found, name), getattr(wanted, name)
        allowed = tolerance * (_RATES_PER_UNIT if name in _RATES else 1.0)
        np.testing.assert_allclose(a, b, atol=allowed, rtol=0, err_msg=name)


def _same_sign(pose: np.ndarray, like: np.ndarray) -> np.ndarray:
    """``pose`` with the one of the two equal quaternions that is nearer to ``like``'s."""
    out = pose.copy()
    if pose[3:] @ like[3:] < 0:
        out[3:] *= -1
    return out


def _random_state(simulator: Simulator, random: np.random.Generator) -> SimState:
    joints, balls = simulator.spec.joints, simulator.spec.ball_joints
    turns = random.normal(size=(len(balls), 4))
    lower = np.array([max(joint.lower, -3.0) for joint in joints])
    upper = np.array([min(joint.upper, 3.0) for joint in joints])
    return SimState(
        joint_names=tuple(joint.name for joint in joints),
        joint_positions=random.uniform(lower, upper),
        joint_velocities=np.zeros(len(joints)),
        ball_names=balls,
        ball_rotations=turns / np.linalg.norm(turns, axis=1, keepdims=True),
        ball_velocities=np.zeros((len(balls), 3)),
    )


def _files_or_skip(simulator: Simulator) -> dict[str, bytes]:
    files = simulator.model_files()
    if not files:
        assert not simulator.spec.model.sha256
        pytest.skip("the simulator has no model files")
    return files


def _model_or_skip(simulator: Simulator, folder: Path):
    import mujoco

    files = _files_or_skip(simulator)
    if simulator.spec.model.format != "mjcf":
        pytest.skip(f"model format {simulator.spec.model.format}")
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return mujoco.MjModel.from_xml_path(str(folder / next(iter(files))))


def _check_links(model, state: SimState, links: LinkPoses, entities: tuple[str, ...]) -> None:
    import mujoco

    data = mujoco.MjData(model)
    joints = dict(zip(joint_names(model), model.jnt_qposadr.tolist(), strict=True))
    for name, position in zip(state.joint_names, state.joint_positions, strict=True):
        data.qpos[joints.get(name, joints.get(name.partition("/")[2]))] = position
    for name, turn in zip(state.ball_names, state.ball_rotations, strict=True):
        address = joints[name if name in joints else name.partition("/")[2]]
        data.qpos[address : address + 4] = turn[[3, 0, 1, 2]]
    mujoco.mj_kinematics(model, data)
    bodies = {name: b for b, name in enumerate(body_names(model)) if b}
    compared = 0
    for name, pose in zip(links.names, links.poses, strict=True):
        body = bodies.get(name, bodies.get(name.partition("/")[2]))
        if body is None or name.partition("/")[0] not in entities:
            continue
        compared += 1
        assert np.linalg.norm(pose[:3] - data.xpos[body]) < _LINK_TOLERANCE_M, name
        cosine = abs(pose[[6, 3, 4, 5]] @ data.xquat[body])
        assert 2 * np.arccos(min(cosine, 1.0)) < _LINK_TOLERANCE_RAD, name
    assert compared >= len(entities)
