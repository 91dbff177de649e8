"""An MJCF scene in SAPIEN (PhysX on the CPU): the second engine, for position-controlled robots.

There are no cameras: SAPIEN draws with Vulkan on a GPU only. The mirror draws this scene from
the same MJCF. Numbers inside PhysX have single precision.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import sapien

from sim_bridge.errors import unknown
from sim_bridge.simulators.mujoco.mjcf_layout import observe
from sim_bridge.simulators.mujoco.mjcf_scene import MjcfScene
from sim_bridge.simulators.sapien.world import PhysxWorld
from sim_bridge.types import LinkPoses, SimSpec, SimState, StepOutcome


class SapienSimulator:
    """Steps an ``MjcfScene``. The reward is 0 and episodes never end; the image size is ignored.

    Raises FeatureUnsupported, besides what the scene raises, for what PhysX cannot do.
    """

    _world: PhysxWorld

    def __init__(
        self,
        task: str,
        kwargs: dict[str, Any] | None = None,
        image_width: int = 640,
        image_height: int = 480,
    ) -> None:
        self._mjcf = MjcfScene(task, kwargs)
        self._names = self._mjcf.names  # MuJoCo does not step here
        self._spec = self._mjcf.describe("sapien", f"sapien {sapien.__version__} (PhysX)")
        self._open()

    @property
    def spec(self) -> SimSpec:
        return self._spec

    def reset(
        self,
        seed: int | None = None,
        state: SimState | None = None,
        options: dict[str, Any] | None = None,
    ) -> StepOutcome:
        self._mjcf.seed(seed, options)
        self._open()
        return self._outcome() if state is None else self.set_state(state)

    def step(self, action: np.ndarray) -> StepOutcome:
        for joint, target in zip(self._driven.values(), action, strict=True):
            joint.set_drive_target(float(target))
        for _ in range(self._mjcf.substeps):
            self._world.scene.step()
        self._time_s += self._spec.control_period_s
        return self._outcome()

    def state(self, native: bool = False) -> SimState:
        """Without an engine block, also for ``native``: what PhysX has more is contact caches."""
        positions, velocities = self._joint_values()
        bodies = [self._world.components[b] for b in self._world.free]
        return SimState(
            time_s=self._time_s,
            joint_names=self._names.joint_names,
            joint_positions=positions,
            joint_velocities=velocities,
            body_names=self._names.body_names,
            body_poses=np.array([_to_wire(b.entity_pose) for b in bodies]).reshape(-1, 7),
            body_twists=np.array([_twist(b) for b in bodies]).reshape(-1, 6),
            target_names=tuple(self._driven),
            target_positions=np.array([float(j.drive_target[0]) for j in self._driven.values()]),
        )

    def set_state(self, state: SimState) -> StepOutcome:
        positions, velocities = self._joint_values()
        for name, position, velocity in zip(
            state.joint_names, state.joint_positions, state.joint_velocities, strict=True
        ):
            index = _index("joint", name, self._names.joint_names)
            positions[index], velocities[index] = position, velocity
        if state.joint_names:
            self._write_joints(positions, velocities)
        for name, pose, twist in zip(
            state.body_names, state.body_poses, state.body_twists, strict=True
        ):
            body = self._world.free[_index("body", name, self._names.body_names)]
            _place(self._world.components[body], pose, twist)
        for name, target in zip(state.target_names, state.target_positions, strict=True):
            if name in self._driven:
                self._driven[name].set_drive_target(float(target))
        return self._outcome()

    def link_poses(self) -> LinkPoses:
        names, bodies = self._names.link_names, self._names.link_bodies
        poses = [_to_wire(self._world.components[body].entity_pose) for body in bodies]
        return LinkPoses(names, np.array(poses).reshape(-1, 7))

    def render(self, camera: str) -> np.ndarray:
        raise unknown("camera", camera, ())

    def model_files(self) -> dict[str, bytes]:
        return self._mjcf.files

    def close(self) -> None:
        self._world = None  # type: ignore[assignment]  # frees PhysX; nothing works afterwards

    def _open(self) -> None:
        """Build the scene again, so that no contact cache of an earlier episode lives on."""
        self._world = PhysxWorld(self._mjcf.model)
        joints = [self._world.joints[j] for j in self._names.joint_ids]
        by_name = dict(zip(self._names.joint_names, joints, strict=True))
        self._driven = {n: by_name[n] for n in self._names.position_actuators.values()}
        self._time_s = 0.0
        qpos, ctrl = self._mjcf.draw_start()
        positions = qpos[self._names.joint_addresses]
        self._write_joints(positions, np.zeros_like(positions))
        for body, addresses in zip(self._world.free, self._names.body_addresses, strict=True):
            pose = sapien.Pose(qpos[addresses[:3]], qpos[addresses[3:]])
            _place(self._world.components[body], _to_wire(pose), np.zeros(6))
        at = dict(zip(self._names.joint_names, positions, strict=True))
        targets = [at[name] for name in self._driven] if ctrl is None else ctrl
        bounded = np.clip(targets, self._spec.action.low, self._spec.action.high)
        for joint, target in zip(self._driven.values(), bounded, strict=True):
            joint.set_drive_target(float(target))

    def _joint_values(self) -> tuple[np.ndarray, np.ndarray]:
        """Positions and velocities in the order of the wire's joint names."""
        positions: dict[int, float] = {}
        velocities: dict[int, float] = {}
        for articulation, ids in self._world.articulations:
            positions.update(zip(ids, articulation.qpos, strict=True))
            velocities.update(zip(ids, articulation.qvel, strict=True))
        order = self._names.joint_ids
        return (
            np.array([positions[j] for j in order], dtype=float),
            np.array([velocities[j] for j in order], dtype=float),
        )

    def _write_joints(self, positions: np.ndarray, velocities: np.ndarray) -> None:
        index = {joint: i for i, joint in enumerate(self._names.joint_ids)}
        for articulation, ids in self._world.articulations:
            chosen = [index[j] for j in ids]
            articulation.set_qpos(positions[chosen])
            articulation.set_qvel(velocities[chosen])

    def _outcome(self) -> StepOutcome:
        return StepOutcome(arrays=observe(self.state()))


def _index(kind: str, name: str, known: tuple[str, ...]) -> int:
    if name not in known:
        raise unknown(kind, name, known)
    return known.index(name)


# SAPIEN's quaternions are wxyz; these two functions are where they meet the wire's xyzw.
def _to_wire(pose: sapien.Pose) -> np.ndarray:
    w, x, y, z = pose.q
    return np.array([*pose.p, x, y, z, w], dtype=float)


def _from_wire(pose: np.ndarray) -> sapien.Pose:
    x, y, z, w = pose[3:]
    return sapien.Pose(pose[:3], [w, x, y, z])


def _center_of_mass_offset(component, pose: sapien.Pose) -> np.ndarray:
    """From the body's origin to its centre of mass, in the world frame [m]."""
    return (pose * component.cmass_local_pose).p - pose.p


def _twist(component) -> np.ndarray:
    """PhysX gives the velocity of the centre of mass; the wire has that of the origin."""
    offset = _center_of_mass_offset(component, component.entity_pose)
    angular = np.asarray(component.angular_velocity, dtype=float)
    linear = np.asarray(component.linear_velocity, dtype=float) - np.cross(angular, offset)
    return np.concatenate([linear, angular])


def _place(component, pose: np.ndarray, twist: np.ndarray) -> None:
    target = _from_wire(pose)
    offset = _center_of_mass_offset(component, target)
    linear, angular = np.asarray(twist[:3]) + np.cross(twist[3:], offset), np.asarray(twist[3:])
    if hasattr(component, "articulation"):
        articulation = component.articulation
        articulation.set_root_pose(target)
        articulation.set_root_linear_velocity(linear)
        articulation.set_root_angular_velocity(angular)
        return
    component.entity.pose = target
    component.linear_velocity = linear
    component.angular_velocity = angular
