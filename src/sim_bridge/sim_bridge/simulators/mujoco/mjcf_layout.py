"""Actions and observations of a scene that is nothing but its MJCF: actuators, joints, bodies."""

from __future__ import annotations

import mujoco
import numpy as np

from sim_bridge.errors import FeatureUnsupported, InvalidRequest
from sim_bridge.simulators.mujoco.mjcf_tasks import MjcfOptions, MjcfTask
from sim_bridge.simulators.mujoco.scene import MujocoScene
from sim_bridge.types import (
    ActionSpec,
    ArraySpec,
    CameraSpec,
    JointSpec,
    ModelReference,
    SimSpec,
    SimState,
)


def scene_spec(
    scene: MujocoScene,
    task: MjcfTask,
    options: MjcfOptions,
    simulator: str,
    version: str,
    files_sha256: str,
    cameras: tuple[CameraSpec, ...] = (),
) -> SimSpec:
    """What a simulator of an MJCF scene without a task offers."""
    robots, bases = scene.robots()
    return SimSpec(
        simulator=simulator,
        simulator_version=version,
        task=task.name,
        instruction=options.instruction,
        robot_entities=robots,
        base_frames=bases,
        joints=scene.joint_specs(),
        ball_joints=scene.ball_names,
        action=action_spec(scene),
        observations=observation_specs(scene.state()),
        control_period_s=options.control_period_s,
        cameras=cameras,
        model=ModelReference("mjcf", task.uri, files_sha256),
    )


def action_spec(scene: MujocoScene) -> ActionSpec:
    """One entry per actuator; a position actuator goes by its joint's name.

    Bounds are the control range, else the joint's, else infinite. FeatureUnsupported without
    actuators.
    """
    model = scene.model
    if not model.nu:
        raise FeatureUnsupported("the model has no actuators; add position actuators to its MJCF")
    joints = {spec.name: spec for spec in scene.joint_specs()}
    targets = scene.position_actuators
    names, units, bounds = [], [], []
    for actuator in range(model.nu):
        joint = joints.get(targets.get(actuator, ""))
        names.append(joint.name if joint else model.actuator(actuator).name or f"a{actuator}")
        units.append(("rad" if joint.revolute else "m") if joint else "1")
        bounds.append(_bounds(model, actuator, joint))
    low, high = np.array(bounds, dtype=float).T
    mode = "joint_position" if len(targets) == model.nu else "custom"
    return ActionSpec(tuple(names), low, high, tuple(units), mode)


def _bounds(model: mujoco.MjModel, actuator: int, joint: JointSpec | None) -> tuple[float, float]:
    if model.actuator_ctrllimited[actuator]:
        return tuple(model.actuator_ctrlrange[actuator])
    return (joint.lower, joint.upper) if joint else (-np.inf, np.inf)


def substeps(control_period_s: float, timestep_s: float) -> int:
    """InvalidRequest unless the control period is a multiple of the model's time step."""
    count = round(control_period_s / timestep_s)
    if count < 1 or abs(count * timestep_s - control_period_s) > 1e-9:
        raise InvalidRequest(
            f"control_period_s is {control_period_s:g}; valid: a multiple of the model's time "
            f"step, {timestep_s:g} s"
        )
    return count


def observation_specs(state: SimState) -> tuple[ArraySpec, ...]:
    low, high = np.array([-np.inf]), np.array([np.inf])
    return tuple(
        ArraySpec(name, "float64", array.shape, low, high) for name, array in observe(state).items()
    )


def observe(state: SimState) -> dict[str, np.ndarray]:
    """``joint_positions (n,)``, ``joint_velocities (n,)``, ``body_poses (m, 7)`` in state order;
    where there are ball joints, ``ball_rotations (b, 4)`` and ``ball_velocities (b, 3)`` too."""
    balls = {"ball_rotations": state.ball_rotations, "ball_velocities": state.ball_velocities}
    return {
        "joint_positions": state.joint_positions,
        "joint_velocities": state.joint_velocities,
        "body_poses": state.body_poses,
        **(balls if state.ball_names else {}),
    }


def initial_positions(model: mujoco.MjModel, keyframe: str) -> tuple[np.ndarray, np.ndarray | None]:
    """Where episodes start: ``qpos (nq,)`` and, when the keyframe has it, ``ctrl (nu,)``.

    InvalidRequest for an unknown keyframe.
    """
    names = [model.key(i).name for i in range(model.nkey)]
    if keyframe and keyframe not in names:
        raise InvalidRequest(
            f"unknown keyframe {keyframe!r}; valid: {', '.join(filter(None, names)) or 'none'}"
        )
    if not names:
        return model.qpos0.copy(), None
    key = names.index(keyframe) if keyframe else 0
    ctrl = model.key_ctrl[key].copy()
    return model.key_qpos[key].copy(), ctrl if ctrl.any() else None


def deviate(
    scene: MujocoScene, qpos: np.ndarray, joint_noise: float, body_noise_m: float, random
) -> np.ndarray:
    """``qpos`` with joints moved within their limits and free bodies in the horizontal plane.

    ``random`` is a numpy Generator; it is drawn from also when there is no noise, so that the
    stream does not depend on the options.
    """
    out = qpos.copy()
    for spec, address in zip(scene.joint_specs(), scene.joint_addresses, strict=True):
        moved = qpos[address] + random.uniform(-1.0, 1.0) * joint_noise
        out[address] = np.clip(moved, spec.lower, spec.upper) if joint_noise else qpos[address]
    for addresses in scene.body_addresses:
        out[addresses[:2]] += random.uniform(-1.0, 1.0, 2) * body_noise_m
    return out
