"""Isaac Sim 6: a USD or MJCF scene with PhysX or Newton and RTX cameras, without a task.

Actions are position targets of all joints, the reward is 0 and episodes never end. The bridge
calls this from its main thread and serves ROS between steps, as Kit requires.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sim_bridge.errors import FeatureUnsupported, InvalidRequest
from sim_bridge.files.model_files import mjcf_files, resolve_uri, sha256_of
from sim_bridge.settings.options import read_options
from sim_bridge.simulators.isaac_lab.runtime import version_of
from sim_bridge.simulators.isaac_lab.scene import check_finite
from sim_bridge.simulators.isaac_sim import world as isaac
from sim_bridge.simulators.isaac_sim.options import IsaacSimOptions
from sim_bridge.simulators.isaac_sim.scene import (
    CameraClock,
    com_twist,
    decimation,
    find_entities,
    origin_twist,
    wxyz,
    xyzw,
)
from sim_bridge.types import (
    ActionSpec,
    ArraySpec,
    CameraSpec,
    JointSpec,
    LinkPoses,
    ModelReference,
    SimSpec,
    SimState,
    StepOutcome,
)


def open_isaac_sim(
    task: str,
    kwargs: Mapping[str, Any] | None = None,
    image_width: int = 640,
    image_height: int = 480,
) -> IsaacSimSimulator:
    """``task`` is a scene: ``package://PACKAGE/PATH``, ``file://PATH`` of an MJCF or USD file;
    ``kwargs`` are ``IsaacSimOptions``. Raises typed errors before and while Isaac Sim starts."""
    options = read_options(IsaacSimOptions, kwargs or {}, "task option")
    decimation(options.control_period_s, options.physics_step_s)
    scene = resolve_uri(task if "://" in task else f"file://{Path(task).expanduser().resolve()}")
    app = isaac.start_app(options.headless, image_width, image_height)
    output = Path(tempfile.mkdtemp(prefix="twinstep-usd-"))
    world = isaac.IsaacSimWorld(options, isaac.usd_of(scene, output, options.fix_base))
    entities = find_entities(isaac.scan_stage(world.stage), options.entities)
    world.open(entities, options)
    world.add_cameras(options.cameras, image_width, image_height)
    files = mjcf_files(scene) if scene.suffix == ".xml" else {}
    return IsaacSimSimulator(
        world, entities, options, task, files, (image_width, image_height), on_close=app.close
    )


class IsaacSimSimulator:
    """The simulator over a world (``IsaacSimWorld``, or a stand-in with its methods in tests)."""

    def __init__(
        self,
        world: Any,
        entities: tuple[Any, ...],
        options: IsaacSimOptions,
        task: str,
        files: dict[str, bytes],
        image_size: tuple[int, int],
        on_close: Any = lambda: None,
    ) -> None:
        self._world = world
        self._options = options
        self._files = files
        self._on_close = on_close
        self._robots = tuple(entity.name for entity in entities if entity.root)
        self._bodies = tuple(entity.name for entity in entities if not entity.root)
        if not self._robots:
            raise FeatureUnsupported(f"scene {task!r} has no articulation to control")
        self._joint_names = tuple(f"{r}/{n}" for r in self._robots for n in world.dof_names(r))
        self._link_names = tuple(f"{r}/{n}" for r in self._robots for n in world.link_names(r))
        self._floating = () if options.fix_base else self._robots
        self._substeps = decimation(options.control_period_s, options.physics_step_s)
        self._clocks = {name: CameraClock(c.rate_hz) for name, c in options.cameras.items()}
        self._pictures: dict[str, np.ndarray] = {}
        self._random = np.random.default_rng()
        self._time_s = 0.0
        self._start = self.state()
        self._spec = self._describe(task, image_size)

    @property
    def spec(self) -> SimSpec:
        return self._spec

    def reset(
        self,
        seed: int | None = None,
        state: SimState | None = None,
        options: dict[str, Any] | None = None,
    ) -> StepOutcome:
        if options:
            raise InvalidRequest(f"reset options {sorted(options)}; valid: none for a plain scene")
        if seed is not None:
            self._random = np.random.default_rng(seed)
        self._time_s = 0.0
        self._write(self._varied_start())
        return self.set_state(state) if state is not None else self._observed()

    def step(self, action: np.ndarray) -> StepOutcome:
        for robot, rows in self._rows(self._joint_names).items():
            indices, picked = zip(*rows, strict=True)
            self._world.set_dof_targets(
                robot, indices, np.asarray(action, dtype=float)[list(picked)]
            )
        self._world.step(self._substeps)
        self._time_s += self._options.control_period_s
        return self._observed()

    def state(self, native: bool = False) -> SimState:
        """Without an engine block: Isaac Sim offers no state beyond positions and velocities."""
        values = [
            np.concatenate(v)
            for v in zip(*(self._world.dof_state(r) for r in self._robots), strict=True)
        ]
        positions, velocities, targets = (np.asarray(v, dtype=float) for v in values)
        names = (*self._floating, *self._bodies)
        roots = [self._root(name) for name in names]
        state = SimState(
            time_s=self._time_s,
            joint_names=self._joint_names,
            joint_positions=positions,
            joint_velocities=velocities,
            body_names=names,
            body_poses=np.array([pose for pose, _ in roots]).reshape(len(names), 7),
            body_twists=np.array([twist for _, twist in roots]).reshape(len(names), 6),
            target_names=self._joint_names,
            target_positions=targets,
        )
        check_finite(state)
        return state

    def set_state(self, state: SimState) -> StepOutcome:
        self._write(state)
        return self._observed()

    def link_poses(self) -> LinkPoses:
        rows = [np.column_stack((p, xyzw(q))) for p, q in map(self._world.link_poses, self._robots)]
        rows += [self._root(name)[0][None] for name in self._bodies]
        return LinkPoses((*self._link_names, *self._bodies), np.concatenate(rows).astype(float))

    def render(self, camera: str) -> np.ndarray:
        clock = self._clocks[camera]
        if clock.due(self._time_s):
            self._pictures[camera] = self._world.draw(camera)
            clock.drawn(self._time_s)
        return self._pictures[camera]

    def model_files(self) -> dict[str, bytes]:
        return self._files

    def close(self) -> None:
        self._on_close()

    def _write(self, state: SimState) -> None:
        for robot, rows in self._rows(state.joint_names).items():
            indices, picked = (list(v) for v in zip(*rows, strict=True))
            positions = np.asarray(state.joint_positions, dtype=float)[picked]
            self._world.set_dofs(
                robot, indices, positions, np.asarray(state.joint_velocities, dtype=float)[picked]
            )
        for robot, rows in self._rows(state.target_names).items():
            indices, picked = (list(v) for v in zip(*rows, strict=True))
            self._world.set_dof_targets(robot, indices, np.asarray(state.target_positions)[picked])
        for name, pose, twist in zip(
            state.body_names, state.body_poses, state.body_twists, strict=True
        ):
            pose = np.asarray(pose, dtype=float)
            velocity = com_twist(pose, self._world.root_com(name), np.asarray(twist, dtype=float))
            self._world.set_root(name, pose[:3], wxyz(pose[3:]), velocity[:3], velocity[3:])
        self._world.update_kinematics()
        for clock in self._clocks.values():
            clock.invalidate()

    def _rows(self, names: tuple[str, ...]) -> dict[str, list[tuple[int, int]]]:
        """Per robot: the index of each named joint there, and its row in ``names``."""
        rows: dict[str, list[tuple[int, int]]] = {}
        for row, name in enumerate(names):
            robot, _, joint = name.partition("/")
            if robot in self._robots and joint in self._world.dof_names(robot):
                index = self._world.dof_names(robot).index(joint)
                rows.setdefault(robot, []).append((index, row))
        return rows

    def _root(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Pose ``(7,)`` xyzw and twist ``(6,)`` of the origin."""
        position, orientation = self._world.root_pose(name)
        pose = np.concatenate([position, xyzw(orientation)]).astype(float)
        velocity = np.concatenate(self._world.root_velocity(name)).astype(float)
        return pose, origin_twist(pose, self._world.root_com(name), velocity)

    def _varied_start(self) -> SimState:
        start, noise = self._start, self._options
        moved = start.joint_positions + noise.joint_noise * self._random.uniform(
            -1.0, 1.0, len(start.joint_positions)
        )
        limits = self._spec.joints
        positions = np.clip(moved, [j.lower for j in limits], [j.upper for j in limits])
        positions = positions if noise.joint_noise else start.joint_positions
        poses = start.body_poses.copy()
        shift = self._random.uniform(-1.0, 1.0, (len(poses), 2))
        poses[len(self._floating) :, :2] += noise.body_noise_m * shift[len(self._floating) :]
        return SimState(
            joint_names=start.joint_names,
            joint_positions=positions,
            joint_velocities=np.zeros(len(positions)),
            body_names=start.body_names,
            body_poses=poses,
            body_twists=np.zeros((len(poses), 6)),
            target_names=start.joint_names,
            target_positions=positions,
        )

    def _observed(self) -> StepOutcome:
        return StepOutcome(arrays=_observation(self.state()))

    def _describe(self, task: str, image_size: tuple[int, int]) -> SimSpec:
        joints = self._joint_specs()
        model = ModelReference("mjcf", task, sha256_of(self._files))
        return SimSpec(
            simulator="isaac_sim",
            simulator_version=f"isaacsim {version_of('isaacsim')}, {self._options.physics}",
            task=task,
            instruction=self._options.instruction,
            robot_entities=self._robots,
            base_frames=tuple(f"{r}/{self._world.link_names(r)[0]}" for r in self._robots),
            joints=joints,
            action=ActionSpec(
                names=self._joint_names,
                low=np.array([joint.lower for joint in joints]),
                high=np.array([joint.upper for joint in joints]),
                units=tuple("rad" if joint.revolute else "m" for joint in joints),
                control_mode="joint_position",
            ),
            observations=tuple(
                ArraySpec(name, "float64", array.shape, np.array([-np.inf]), np.array([np.inf]))
                for name, array in _observation(self._start).items()
            ),
            control_period_s=self._options.control_period_s,
            cameras=tuple(
                _camera_spec(name, camera.fovy_deg, *image_size)
                for name, camera in self._options.cameras.items()
            ),
            model=model if self._files else ModelReference(),
        )

    def _joint_specs(self) -> tuple[JointSpec, ...]:
        specs = []
        for robot in self._robots:
            lower, upper = self._world.dof_limits(robot)
            revolute = self._world.dof_is_revolute(robot)
            for i, name in enumerate(self._world.dof_names(robot)):
                bounds = float(lower[i]), float(upper[i])
                specs.append(JointSpec(f"{robot}/{name}", revolute[i], *bounds))
        return tuple(specs)


def _observation(state: SimState) -> dict[str, np.ndarray]:
    """As the MJCF scenes observe: joints and free bodies in state order."""
    return {
        "joint_positions": state.joint_positions,
        "joint_velocities": state.joint_velocities,
        "body_poses": state.body_poses,
    }


def _camera_spec(name: str, fovy_deg: float, width: int, height: int) -> CameraSpec:
    focal = 0.5 * height / float(np.tan(np.radians(fovy_deg) / 2))
    return CameraSpec(
        name,
        width,
        height,
        f"{name}_optical_frame",
        focal,
        focal,
        (width - 1) / 2,
        (height - 1) / 2,
    )
