"""Names, states and link poses of an Isaac Lab scene with one environment.

Joints and links are matched by name: PhysX orders them breadth first, Newton depth first. Poses
in Isaac Lab 3 are xyzw like the wire's, and its world has the environment's origin in it; the
origin is taken off and put back here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from sim_bridge.errors import OperationFailed
from sim_bridge.types import JointSpec, LinkPoses, SimState

if TYPE_CHECKING:
    from isaaclab.assets import Articulation, RigidObject
    from isaaclab.scene import InteractiveScene


class IsaacLabScene:
    """View of an ``InteractiveScene``; the keys of the scene are the wire's entities.

    ``tensor`` turns an array into what the scene's writers take (a torch tensor on its device).
    """

    def __init__(self, scene: InteractiveScene, tensor: Callable[[np.ndarray], Any]) -> None:
        self._articulations: Mapping[str, Articulation] = dict(scene.articulations)
        self._bodies: Mapping[str, RigidObject] = dict(scene.rigid_objects)
        self._origin = _array(scene.env_origins)[0]
        self._tensor = tensor
        self._floating = tuple(n for n, a in self._articulations.items() if not a.is_fixed_base)
        self.body_names = (*self._floating, *self._bodies)
        self.joint_names = tuple(
            f"{entity}/{joint}"
            for entity, a in self._articulations.items()
            for joint in a.joint_names
        )
        self.link_names = tuple(
            f"{entity}/{link}" for entity, a in self._articulations.items() for link in a.body_names
        ) + tuple(self._bodies)

    @property
    def robots(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Entities with joints, and the frame of each one's root link."""
        names = tuple(n for n, a in self._articulations.items() if a.joint_names)
        return names, tuple(f"{n}/{self._articulations[n].body_names[0]}" for n in names)

    def joint_specs(self, prismatic: frozenset[str] = frozenset()) -> tuple[JointSpec, ...]:
        """Limits of all joints; ``prismatic`` names the joints that slide, as ``entity/joint``."""
        specs = []
        for entity, articulation in self._articulations.items():
            limits = _array(articulation.data.joint_pos_limits.torch)[0]
            for joint, (lower, upper) in zip(articulation.joint_names, limits, strict=True):
                name = f"{entity}/{joint}"
                specs.append(JointSpec(name, name not in prismatic, float(lower), float(upper)))
        return tuple(specs)

    def state(self, time_s: float) -> SimState:
        """OperationFailed when the engine returns a number that is not finite."""
        state = SimState(
            time_s=time_s,
            joint_names=self.joint_names,
            joint_positions=self._joints("joint_pos"),
            joint_velocities=self._joints("joint_vel"),
            body_names=self.body_names,
            body_poses=self._roots("root_link_pose_w", 7, self._origin),
            body_twists=self._roots("root_link_vel_w", 6),
            target_names=self.joint_names,
            target_positions=self._targets(),
        )
        check_finite(state)
        return state

    def link_poses(self) -> LinkPoses:
        rows = [_array(a.data.body_link_pose_w.torch)[0] for a in self._articulations.values()]
        rows += [_array(b.data.root_link_pose_w.torch) for b in self._bodies.values()]
        poses = np.concatenate(rows).astype(float) if rows else np.zeros((0, 7))
        poses[:, :3] -= self._origin
        return LinkPoses(self.link_names, poses)

    def write(self, state: SimState) -> None:
        """Write the joints, bodies and targets that ``state`` names; leave the others alone."""
        for entity, articulation in self._articulations.items():
            self._write_joints(entity, articulation, state)
        for name, pose, twist in zip(
            state.body_names, state.body_poses, state.body_twists, strict=True
        ):
            asset = self._bodies[name] if name in self._bodies else self._articulations[name]
            world = np.array(pose, dtype=float)
            world[:3] += self._origin
            asset.write_root_link_pose_to_sim_index(root_pose=self._tensor(world[None]))
            velocity = self._tensor(np.asarray(twist, dtype=float)[None])
            asset.write_root_link_velocity_to_sim_index(root_velocity=velocity)

    def velocity_targets(self) -> dict[str, np.ndarray]:
        """Velocity targets of the drives by entity, ``(n,)`` in the engine's joint order."""
        return {
            entity: _array(a.actuators.target_command.velocity.torch)[0].copy()
            for entity, a in self._articulations.items()
        }

    def write_velocity_targets(self, targets: Mapping[str, np.ndarray]) -> None:
        for entity, values in targets.items():
            command = self._articulations[entity].actuators.target_command
            command.set_velocity_index(value=self._tensor(values[None]))

    def _write_joints(self, entity: str, articulation: Articulation, state: SimState) -> None:
        index = {f"{entity}/{joint}": i for i, joint in enumerate(articulation.joint_names)}
        rows = [(index[n], i) for i, n in enumerate(state.joint_names) if n in index]
        targets = {
            index[n]: v
            for n, v in zip(state.target_names, state.target_positions, strict=True)
            if n in index
        }
        if rows:
            ids = [joint for joint, _ in rows]
            picked = [i for _, i in rows]
            positions = np.asarray(state.joint_positions, dtype=float)[picked]
            velocities = np.asarray(state.joint_velocities, dtype=float)[picked]
            articulation.write_joint_position_to_sim_index(
                position=self._tensor(positions[None]), joint_ids=ids
            )
            articulation.write_joint_velocity_to_sim_index(
                velocity=self._tensor(velocities[None]), joint_ids=ids
            )
        if targets:
            articulation.actuators.target_command.set_position_index(
                value=self._tensor(np.array([list(targets.values())])), joint_ids=list(targets)
            )

    def _joints(self, attribute: str) -> np.ndarray:
        return _joined(
            _array(getattr(a.data, attribute).torch)[0] for a in self._articulations.values()
        )

    def _targets(self) -> np.ndarray:
        commands = (a.actuators.target_command for a in self._articulations.values())
        return _joined(_array(command.position.torch)[0] for command in commands)

    def _roots(self, attribute: str, width: int, origin: np.ndarray | None = None) -> np.ndarray:
        assets = [self._articulations[n] for n in self._floating] + list(self._bodies.values())
        rows = [_array(getattr(asset.data, attribute).torch)[0] for asset in assets]
        values = np.array(rows, dtype=float).reshape(len(rows), width)
        if origin is not None:
            values[:, :3] -= origin
        return values


def check_finite(state: SimState) -> None:
    """OperationFailed naming the first joint or body whose value is not a finite number."""
    for kind, names, values in (
        ("joint", state.joint_names, state.joint_positions),
        ("velocity of joint", state.joint_names, state.joint_velocities),
        ("pose of body", state.body_names, state.body_poses),
        ("twist of body", state.body_names, state.body_twists),
    ):
        for name, value in zip(names, values, strict=True):
            if not np.isfinite(value).all():
                raise OperationFailed(
                    f"the engine returned {value} for {kind} {name!r}: the simulation diverged. "
                    "Reset; if it comes back, check masses, gains and the physics step"
                )


def _array(tensor: Any) -> np.ndarray:
    return tensor.detach().cpu().numpy() if hasattr(tensor, "detach") else np.asarray(tensor)


def _joined(rows: Any) -> np.ndarray:
    rows = list(rows)
    return np.concatenate(rows).astype(float) if rows else np.zeros(0)
