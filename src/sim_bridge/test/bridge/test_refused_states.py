"""A state that is refused, by SetState or by Reset, has changed nothing: on real simulators."""

import io
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from sim_bridge.bridge.session import Session
from sim_bridge.errors import InvalidState, NotFound
from sim_bridge.simulators.registry import open_simulator
from sim_bridge.types import SimState

ODD_ROBOT = Path(__file__).parents[1] / "simulators" / "odd_robot" / "scenes" / "scene.xml"
_SIMULATORS = {
    "mujoco": "so101",
    "gymnasium": "SO101PickPlace-v0",
    "sapien": "so101",
    "synthetic": "any",
    "mujoco odd": str(ODD_ROBOT),
}
_VALUES = {
    "joint": ("joint_positions", "joint_velocities"),
    "body": ("body_poses", "body_twists"),
    "target": ("target_positions",),
    "ball joint": ("ball_rotations", "ball_velocities"),
}


@pytest.fixture(scope="module", params=_SIMULATORS)
def session(request):
    name, task = request.param.partition(" ")[0], _SIMULATORS[request.param]
    simulator = open_simulator(name, task, image_width=64, image_height=48)
    session = Session(simulator)
    session.begin(seed=3)
    middle = np.clip(0.1, simulator.spec.action.low, simulator.spec.action.high)
    session.advance(np.tile(middle, 3), 3)
    yield session
    simulator.close()


def _portable(session):
    """What another engine would send: no native block, which would hide bad numbers."""
    return replace(session.get_state(), native_format="", native=b"")


def _assert_refused(session, bad, error, match):
    before = session.get_state()
    for request in (
        lambda: session.set_state("a", session.lease.last_sequence("a") + 1, bad),
        lambda: session.reset("a", session.lease.last_sequence("a") + 1, state=bad, seed=77),
    ):
        with pytest.raises(error, match=match):
            request()
        after = session.get_state()
        for field in fields(SimState):
            found, wanted = getattr(after, field.name), getattr(before, field.name)
            assert np.array_equal(found, wanted), field.name


@pytest.mark.parametrize("kind", _VALUES)
@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite(session, kind, number):
    state = _portable(session)
    names = getattr(state, _names(kind))
    if not names:
        pytest.skip(f"a scene without a {kind}")
    for name in _VALUES[kind]:
        values = getattr(state, name).copy()
        values.reshape(-1)[-1] = number
        bad = replace(state, **{name: values})
        _assert_refused(session, bad, InvalidState, f"{kind} '{names[-1]}': .*finite")


@pytest.mark.parametrize("kind", _VALUES)
@pytest.mark.parametrize("extra", [-1, 1])
def test_a_length_that_does_not_fit(session, kind, extra):
    state = _portable(session)
    for name in _VALUES[kind]:
        values = getattr(state, name)
        count = len(values) + extra
        if count < 0:
            continue
        longer = np.concatenate([values, np.ones((1, *values.shape[1:]))])[:count]
        bad = replace(state, **{name: longer})
        _assert_refused(session, bad, InvalidState, f"{len(values)} names, but .* shape")


@pytest.mark.parametrize("kind", _VALUES)
def test_unknown_and_repeated_names(session, kind):
    state = _portable(session)
    names = getattr(state, _names(kind))
    values = {name: getattr(state, name) for name in _VALUES[kind]}
    more = {name: np.concatenate([v, np.zeros((1, *v.shape[1:]))]) for name, v in values.items()}
    stranger = replace(state, **{_names(kind): (*names, "nobody/knows"), **more})
    _assert_refused(session, stranger, NotFound, f"unknown {kind} 'nobody/knows'; valid: ")
    if names:
        twice = replace(state, **{_names(kind): (*names, names[0]), **more})
        _assert_refused(session, twice, InvalidState, f"{kind} '{names[0]}' is named twice")


@pytest.mark.parametrize("quaternion", [(0, 0, 0, 0), (0, 0, 0, 2), (1e-9, 0, 0, 0)])
def test_quaternions_that_are_no_rotation(session, quaternion):
    state = _portable(session)
    if not state.body_names:
        pytest.skip("a scene without free bodies")
    poses = state.body_poses.copy()
    poses[-1, 3:] = quaternion
    _assert_refused(session, replace(state, body_poses=poses), InvalidState, "quaternion xyzw")


@pytest.mark.parametrize("turn", [(0, 0, 0, 0), (0, 0, 0, 2)])
def test_ball_joints_that_are_not_turned(session, turn):
    state = _portable(session)
    if not state.ball_names:
        pytest.skip("a scene without ball joints")
    turns = state.ball_rotations.copy()
    turns[0] = turn
    bad = replace(state, ball_rotations=turns)
    _assert_refused(session, bad, InvalidState, "ball joint 'torso/wrist': quaternion xyzw")


@pytest.mark.parametrize("damage", ["garbage", "cut", "broken memory"])
def test_native_blocks_that_do_not_belong(session, damage):
    state = session.get_state()
    if not state.native:
        pytest.skip("an engine without a block of its own")
    bad = replace(state, native=_damaged(state.native, damage))
    _assert_refused(session, bad, InvalidState, "native block")


def test_a_target_of_a_joint_without_position_control_is_left_alone(session):
    state = _portable(session)
    free = [name for name in state.joint_names if name not in state.target_names]
    targets = (*state.target_names, *free)
    positions = np.concatenate([state.target_positions, np.zeros(len(free))])
    answer = session.set_state(
        "a",
        session.lease.last_sequence("a") + 1,
        replace(state, target_names=targets, target_positions=positions),
    )
    assert answer.state.target_names == state.target_names
    np.testing.assert_allclose(answer.state.target_positions, state.target_positions, atol=1e-6)


def _names(kind):
    return f"{kind.partition(' ')[0]}_names"


def _damaged(block, damage):
    if damage == "garbage":
        return b"nothing of the kind"
    if damage == "cut":
        return block[: len(block) // 2]
    with np.load(io.BytesIO(block)) as archive:
        arrays = {name: archive[name] for name in archive.files}
    memory = [name for name in arrays if name in ("extra.random", "extra.json")]
    assert memory
    for name in memory:
        arrays[name] = np.frombuffer(b"{", np.uint8)
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def test_a_block_of_the_same_engine_without_a_task_restores_the_physics():
    plain = open_simulator("mujoco", "so101", kwargs={"joint_noise": 0.1})
    task = open_simulator("gymnasium", "SO101PickPlace-v0")
    plain.reset(seed=5)
    task.reset(seed=1)
    wanted = plain.state(native=True)
    task.set_state(wanted)
    assert np.array_equal(task.state().joint_positions, wanted.joint_positions)
    plain.close()
    task.close()
