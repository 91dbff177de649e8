"""The only file that calls Isaac Sim (6.x, recommended API): a stage, its robots, bodies, cameras.

Everything goes in and out as numpy; quaternions stay wxyz and velocities those of centres of
mass, as Isaac Sim has them (``scene`` converts). ``tools/check_isaac_api.py`` verifies
each symbol used here against the published wheels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sim_bridge.errors import NotFound, OperationFailed
from sim_bridge.simulators.isaac_sim.options import CameraOptions, IsaacSimOptions
from sim_bridge.simulators.isaac_sim.scene import Entity, StageBodies, wxyz

if TYPE_CHECKING:
    from isaacsim import SimulationApp
    from isaacsim.core.experimental.prims import Articulation, RigidPrim
    from isaacsim.sensors.experimental.rtx import CameraSensor
    from omni.physics.tensors.api import SimulationView

_SCENE = "/World/scene"
_WARM_UP_FRAMES = 60
_APERTURE = 24.0
_REMEDY = (
    "Isaac Sim is not installed in this Python: see docs/how-to/isaac.md "
    "(its renderer needs an RTX GPU; its licence is yours to accept)"
)


def start_app(headless: bool, width: int, height: int) -> SimulationApp:
    """``SimulationApp``; it must exist before anything else of Isaac Sim is imported.

    NotFound without Isaac Sim, OperationFailed when it cannot start (licence, GPU).
    """
    try:
        from isaacsim import SimulationApp
    except ModuleNotFoundError as error:
        raise NotFound(f"no Python module {error.name!r}. {_REMEDY}") from error
    try:
        return SimulationApp({"headless": headless, "width": width, "height": height})
    except Exception as error:
        raise OperationFailed(
            f"Isaac Sim did not start: {error!r}. If it asks for its licence, accept it yourself: "
            "run `python -c 'import isaacsim'` once in a terminal, or set OMNI_KIT_ACCEPT_EULA"
        ) from error


def usd_of(scene: Path, output: Path, fix_base: bool) -> str:
    """The scene itself if it is USD, else Isaac's import of the MJCF into ``output``."""
    if scene.suffix.startswith(".usd"):
        return str(scene)
    import isaacsim.core.experimental.utils.app as app_utils

    app_utils.enable_extension("isaacsim.asset.importer.mjcf")
    from isaacsim.asset.importer.mjcf import MJCFImporter, MJCFImporterConfig

    config = MJCFImporterConfig(
        mjcf_path=str(scene), usd_path=str(output), import_scene=False, fix_base=fix_base
    )
    return MJCFImporter(config).import_mjcf()


def scan_stage(stage: Any) -> StageBodies:
    """Rigid bodies, joints and articulation roots of a USD stage (plain USD, no Isaac)."""
    from pxr import UsdPhysics

    bodies, joints, roots = [], [], []
    for prim in stage.Traverse():
        path = str(prim.GetPath())
        if prim.HasAPI(UsdPhysics.ArticulationRootAPI):
            roots.append(path)
        if prim.HasAPI(UsdPhysics.RigidBodyAPI):
            bodies.append(path)
        if prim.IsA(UsdPhysics.Joint):
            joint = UsdPhysics.Joint(prim)
            joints.append((_first(joint.GetBody0Rel()), _first(joint.GetBody1Rel())))
    known = {"", *bodies}
    joints = [(a if a in known else "", b if b in known else "") for a, b in joints]
    return StageBodies(tuple(bodies), tuple(joints), tuple(roots))


def _first(relationship: Any) -> str:
    targets = relationship.GetTargets()
    return str(targets[0]) if targets else ""


class IsaacSimWorld:
    """A running simulation. Construct after ``start_app``; entities come from ``find_entities``."""

    def __init__(self, options: IsaacSimOptions, usd: str) -> None:
        import isaacsim.core.experimental.utils.app as app_utils
        import isaacsim.core.experimental.utils.stage as stage_utils
        from isaacsim.core.rendering_manager import RenderingManager
        from isaacsim.core.simulation_manager import SimulationManager

        self._app_utils = app_utils
        self._simulation = SimulationManager
        self._rendering = RenderingManager
        stage_utils.add_reference_to_stage(usd, _SCENE)
        if SimulationManager.get_active_physics_engine() != options.physics:
            SimulationManager.switch_physics_engine(options.physics)
        SimulationManager.setup_simulation(dt=options.physics_step_s, device=options.device)
        RenderingManager.set_dt(options.control_period_s)
        self.stage = stage_utils.get_current_stage()
        self._cameras: dict[str, CameraSensor] = {}

    def open(self, entities: Sequence[Entity], options: IsaacSimOptions) -> None:
        """Wrap the entities and start the physics."""
        from isaacsim.core.experimental.prims import Articulation, RigidPrim

        self._robots = {e.name: Articulation(e.root) for e in entities if e.root}
        self._bodies = {e.name: RigidPrim(e.links[0]) for e in entities if not e.root}
        self._app_utils.play()
        self._simulation.initialize_physics()
        self._links = {name: RigidPrim(robot.link_paths[0]) for name, robot in self._robots.items()}
        for robot in self._robots.values():
            if options.stiffness > 0 or options.damping > 0:
                robot.set_dof_gains(
                    stiffnesses=options.stiffness or None, dampings=options.damping or None
                )

    def add_cameras(self, cameras: Mapping[str, CameraOptions], width: int, height: int) -> None:
        if not cameras:
            return
        from isaacsim.sensors.experimental.rtx import CameraSensor, RtxCamera

        for name, options in cameras.items():
            path = options.path or f"/World/cameras/{name}"
            if not options.path:
                camera = RtxCamera(
                    path,
                    positions=np.array([options.position]),
                    orientations=wxyz(np.array([options.orientation])),
                )
                focal = 0.5 * _APERTURE / np.tan(np.radians(options.fovy_deg) / 2)
                camera.camera.set_focal_lengths(float(focal))
                camera.camera.set_apertures(_APERTURE * width / height, _APERTURE)
            sensor = CameraSensor(path, resolution=(height, width), annotators=["rgb"])
            self._cameras[name] = sensor

    def dof_names(self, robot: str) -> tuple[str, ...]:
        return tuple(self._robots[robot].dof_names)

    def link_names(self, robot: str) -> tuple[str, ...]:
        return tuple(self._robots[robot].link_names)

    def dof_limits(self, robot: str) -> tuple[np.ndarray, np.ndarray]:
        lower, upper = self._robots[robot].get_dof_limits()
        return lower.numpy()[0], upper.numpy()[0]

    def dof_is_revolute(self, robot: str) -> tuple[bool, ...]:
        return tuple("rotation" in str(kind).lower() for kind in self._robots[robot].dof_types)

    def dof_state(self, robot: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Positions, velocities and position targets ``(n,)``."""
        prim = self._robots[robot]
        return (
            prim.get_dof_positions().numpy()[0],
            prim.get_dof_velocities().numpy()[0],
            prim.get_dof_position_targets().numpy()[0],
        )

    def set_dofs(
        self, robot: str, indices: Sequence[int], positions: np.ndarray, velocities: np.ndarray
    ) -> None:
        prim = self._robots[robot]
        prim.set_dof_positions(positions[None], dof_indices=list(indices))
        prim.set_dof_velocities(velocities[None], dof_indices=list(indices))

    def set_dof_targets(self, robot: str, indices: Sequence[int], targets: np.ndarray) -> None:
        self._robots[robot].set_dof_position_targets(targets[None], dof_indices=list(indices))

    def root_pose(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Position ``(3,)`` and wxyz quaternion ``(4,)`` of a body or a robot's root link."""
        position, orientation = self._root(name).get_world_poses()
        return position.numpy()[0], orientation.numpy()[0]

    def root_velocity(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        linear, angular = self._root(name).get_velocities()
        return linear.numpy()[0], angular.numpy()[0]

    def root_com(self, name: str) -> np.ndarray:
        """Centre of mass ``(3,)`` in the frame of the body or root link."""
        if name in self._robots:
            return self._robots[name].get_link_coms(link_indices=[0])[0].numpy().reshape(-1)[:3]
        return self._bodies[name].get_coms()[0].numpy().reshape(-1)[:3]

    def set_root(
        self,
        name: str,
        position: np.ndarray,
        orientation: np.ndarray,
        linear: np.ndarray,
        angular: np.ndarray,
    ) -> None:
        prim = self._root(name)
        prim.set_world_poses(position[None], orientation[None])
        prim.set_velocities(linear[None], angular[None])

    def link_poses(self, robot: str) -> tuple[np.ndarray, np.ndarray]:
        """Positions ``(n, 3)`` and wxyz quaternions ``(n, 4)`` in the order of ``link_names``."""
        positions, orientations = self._links[robot].get_world_poses()
        return positions.numpy(), orientations.numpy()

    def step(self, count: int) -> None:
        self._simulation.step(steps=count)

    def update_kinematics(self) -> None:
        """Make link poses follow from joint positions that were written, without a step."""
        view: SimulationView | None = self._simulation.get_physics_simulation_view()
        if view is not None:
            view.update_articulations_kinematic()

    def draw(self, name: str) -> np.ndarray:
        """RGB ``(h, w, 3)`` uint8; a new camera needs some frames before it has a picture."""
        for _ in range(_WARM_UP_FRAMES):
            self._rendering.render()
            image, _ = self._cameras[name].get_data("rgb")
            if image is not None:
                return np.ascontiguousarray(image.numpy()[:, :, :3]).astype(np.uint8)
        raise OperationFailed(
            f"camera {name!r} returned no picture in {_WARM_UP_FRAMES} frames; is this an RTX GPU?"
        )

    def _root(self, name: str) -> RigidPrim | Articulation:
        return self._robots[name] if name in self._robots else self._bodies[name]
