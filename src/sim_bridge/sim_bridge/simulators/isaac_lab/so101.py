"""SO-101 pick-and-place as an Isaac Lab environment over local assets.

Import after ``runtime.prepare``. One environment: a bridge hosts one scene.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import isaaclab.sim as sim_utils
import numpy as np
import torch
from isaaclab.actuators import ImplicitActuatorCfg
from isaaclab.assets import ArticulationCfg, AssetBaseCfg, RigidObjectCfg
from isaaclab.envs import DirectRLEnv, DirectRLEnvCfg
from isaaclab.scene import InteractiveSceneCfg
from isaaclab.sensors import CameraCfg
from isaaclab.sim import SimulationCfg
from isaaclab.sim.spawners.materials import UsdPhysicsRigidBodyMaterialCfg
from isaaclab.utils import configclass
from isaaclab_newton.sim.schemas import NewtonArticulationCfg
from isaaclab_physx.sim.schemas import PhysxArticulationCfg, PhysxRigidBodyCfg

from sim_bridge.simulators.isaac_lab import pick_place as task
from sim_bridge.simulators.isaac_lab.cameras import pinhole
from sim_bridge.simulators.isaac_lab.control import JOINTS, Control
from sim_bridge.simulators.isaac_sim.scene import decimation

ROBOT = "so101"
BLOCK = "block"
# The servo model of the MJCF (kp, joint damping, armature, force range, friction loss).
_SERVO = dict(stiffness=17.8, damping=0.6, armature=0.028, joint_effort_limit=3.35, friction=0.052)
_PHYSICS_STEP_S = 0.005
_FRICTION = 1.0
_GRIPPER_LINK = "gripper"


def _material() -> Any:
    return [UsdPhysicsRigidBodyMaterialCfg(static_friction=_FRICTION, dynamic_friction=_FRICTION)]


@configclass
class SceneCfg(InteractiveSceneCfg):
    """Arm, block and table top; ``usd_path`` of the arm is filled in by ``make_cfg``."""

    num_envs: int = 1
    env_spacing: float = 2.0
    so101 = ArticulationCfg(
        prim_path="{ENV_REGEX_NS}/so101",
        spawn=sim_utils.UsdFileCfg(
            usd_path="",
            fix_root_link=True,
            articulation_props={
                "/.*": [
                    PhysxArticulationCfg(
                        enabled_self_collisions=False, solver_position_iteration_count=16
                    ),
                    NewtonArticulationCfg(self_collision_enabled=False),
                ]
            },
        ),
        actuators={"servos": ImplicitActuatorCfg(joint_names_expr=[".*"], **_SERVO)},
    )
    block = RigidObjectCfg(
        prim_path="{ENV_REGEX_NS}/block",
        spawn=sim_utils.CuboidCfg(
            size=(task.BLOCK_SIZE_M,) * 3,
            # A body that falls asleep on its own schedule would not repeat after a restore.
            rigid_props=[
                sim_utils.UsdPhysicsRigidBodyCfg(),
                PhysxRigidBodyCfg(sleep_threshold=0.0, stabilization_threshold=0.0),
            ],
            mass_props=[sim_utils.MassCfg(mass=task.BLOCK_MASS_KG)],
            collision_props=[sim_utils.UsdPhysicsCollisionCfg()],
            physics_material=_material(),
            visual_material=sim_utils.PreviewSurfaceCfg(diffuse_color=(0.6, 0.3, 0.6)),
        ),
        init_state=RigidObjectCfg.InitialStateCfg(pos=(0.25, 0.0, task.BLOCK_SIZE_M / 2)),
    )
    table = AssetBaseCfg(
        prim_path="/World/table",
        spawn=sim_utils.CuboidCfg(
            size=(4.0, 4.0, 0.1),
            collision_props=[sim_utils.UsdPhysicsCollisionCfg()],
            physics_material=_material(),
            visual_material=sim_utils.PreviewSurfaceCfg(diffuse_color=(0.2, 0.25, 0.3)),
        ),
        init_state=AssetBaseCfg.InitialStateCfg(pos=(0.0, 0.0, -0.05)),
    )


@configclass
class So101PickPlaceCfg(DirectRLEnvCfg):
    decimation: int = round(task.CONTROL_PERIOD_S / _PHYSICS_STEP_S)
    episode_length_s: float = task.MAX_EPISODE_STEPS * task.CONTROL_PERIOD_S
    scene: SceneCfg = SceneCfg()
    observation_space = {"agent_pos": 14, "environment_state": 6}
    action_space = 0
    state_space = 0


def make_cfg(
    arm_usd: Path,
    physics: Any,
    device: str,
    action_size: int,
    control_period_s: float = task.CONTROL_PERIOD_S,
    image_size: tuple[int, int] | None = None,
) -> So101PickPlaceCfg:
    """``image_size`` (width, height) [px] adds the camera ``front``. InvalidRequest for a control
    period that is not a multiple of the physics step."""
    cfg = So101PickPlaceCfg()
    cfg.scene.so101.spawn.usd_path = str(arm_usd)
    if image_size is not None:
        cfg.scene.front = _front_camera(*image_size)
    cfg.action_space = action_size
    cfg.decimation = decimation(control_period_s, _PHYSICS_STEP_S)
    cfg.episode_length_s = task.MAX_EPISODE_STEPS * control_period_s
    cfg.seed = 0
    cfg.sim = SimulationCfg(
        dt=_PHYSICS_STEP_S,
        device=device,
        physics=physics,
        render_interval=cfg.decimation,
    )
    return cfg


def _front_camera(width: int, height: int) -> CameraCfg:
    """The camera of the MuJoCo scene, drawn by Newton's ray tracer, which needs no RTX GPU."""
    from isaaclab_newton.renderers import NewtonWarpRendererCfg

    focal, horizontal, vertical = pinhole(width, height, fovy_deg=45.0)
    return CameraCfg(
        prim_path="{ENV_REGEX_NS}/front",
        width=width,
        height=height,
        data_types=["rgb"],
        renderer_cfg=NewtonWarpRendererCfg(),
        offset=CameraCfg.OffsetCfg(
            pos=(0.8, 0.0, 0.5),
            rot=(0.3799282, 0.3799282, 0.5963678, 0.5963678),
            convention="opengl",
        ),
        spawn=sim_utils.PinholeCameraCfg(
            focal_length=focal,
            horizontal_aperture=horizontal,
            vertical_aperture=vertical,
            clipping_range=(0.01, 20.0),
        ),
    )


class So101PickPlaceEnv(DirectRLEnv):
    """Rules in ``pick_place``, actions through a ``Control``.

    The observation has the arrays of the MuJoCo task: ``agent_pos`` (14: five arm positions,
    five velocities, jaw command in -1 to 1, gripper frame position) and ``environment_state``
    (6: block and goal positions).
    """

    cfg: So101PickPlaceCfg

    def __init__(self, cfg: So101PickPlaceCfg, control: Control, **kwargs: Any) -> None:
        self.control = control
        self.rules = task.PickPlaceRules()
        self.random = np.random.default_rng(cfg.seed)
        self._targets = torch.zeros(1, len(JOINTS))
        super().__init__(cfg, **kwargs)
        robot = self.scene[ROBOT]
        self._joint_ids = [robot.joint_names.index(name) for name in JOINTS]
        self._gripper_id = robot.body_names.index(_GRIPPER_LINK)
        self._verdict = task.Verdict(False, False)

    def reset(self, seed: int | None = None, options: dict | None = None):
        if seed is not None:
            self.random = np.random.default_rng(seed)
        return super().reset(seed, options)

    def sync_control(self) -> None:
        """Take joint positions and targets as they are now; call after writing a state."""
        robot = self.scene[ROBOT]
        targets = robot.actuators.target_command.position.torch[0, self._joint_ids]
        self._targets = targets[None].clone()
        self.control.sync(self._joint_positions(), targets.cpu().numpy().astype(float))

    def memory(self) -> dict[str, np.ndarray]:
        """What the task remembers beyond the scene, by name; ``restore`` puts it back."""
        return {
            "goal": self.rules.goal,
            "carried": np.array(self.rules.carried),
            "targets": self._targets.cpu().numpy(),
            **self.control.memory(),
        }

    def restore(self, memory: dict[str, np.ndarray]) -> None:
        self.rules.start(memory["goal"])
        self.rules.carried = bool(memory["carried"])
        self._targets = torch.as_tensor(memory["targets"], device=self.device)
        self.control.restore(memory)

    def _reset_idx(self, env_ids: Sequence[int]) -> None:
        super()._reset_idx(env_ids)
        block, goal = task.sample_positions(self.random)
        self.rules.start(goal)
        robot, cube = self.scene[ROBOT], self.scene[BLOCK]
        zeros = torch.zeros(1, len(JOINTS), device=self.device)
        robot.write_joint_position_to_sim_index(position=zeros)
        robot.write_joint_velocity_to_sim_index(velocity=zeros)
        robot.actuators.target_command.set_position_index(value=zeros)
        pose = torch.tensor([[*block, 0.0, 0.0, 0.0, 1.0]], device=self.device, dtype=torch.float32)
        pose[:, :3] += self.scene.env_origins
        cube.write_root_link_pose_to_sim_index(root_pose=pose)
        cube.write_root_link_velocity_to_sim_index(
            root_velocity=torch.zeros(1, 6, device=self.device)
        )
        self.sync_control()

    def _pre_physics_step(self, actions: torch.Tensor) -> None:
        action = actions[0].cpu().numpy().astype(float)
        targets = self.control.targets(action, self._joint_positions())
        self._targets = torch.as_tensor(targets, dtype=torch.float32, device=self.device)[None]

    def _apply_action(self) -> None:
        command = self.scene[ROBOT].actuators.target_command
        command.set_position_index(value=self._targets, joint_ids=self._joint_ids)

    def _get_dones(self) -> tuple[torch.Tensor, torch.Tensor]:
        cube = self.scene[BLOCK].data
        speed = float(cube.root_link_vel_w.torch[0, :3].norm())
        jaw = float(self._joint_positions()[JOINTS.index("gripper")])
        self._verdict = self.rules.judge(self._block_position(), speed, jaw)
        self.extras["succeed"] = self._verdict.success
        timed_out = self.episode_length_buf >= self.max_episode_length
        return torch.tensor([self._verdict.terminated], device=self.device), timed_out

    def _get_rewards(self) -> torch.Tensor:
        return torch.tensor([self._verdict.reward], device=self.device)

    def _get_observations(self) -> dict[str, Any]:
        robot = self.scene[ROBOT].data
        velocities = robot.joint_vel.torch[0, self._joint_ids].cpu().numpy()
        positions = self._joint_positions()
        jaw = 2 * task.gripper_opening(float(self._targets[0, JOINTS.index("gripper")])) - 1
        agent = np.concatenate([positions[:5], velocities[:5], [jaw], self._gripper_frame()])
        scene = np.concatenate([self._block_position(), self.rules.goal])
        return {"policy": {"agent_pos": _row(agent), "environment_state": _row(scene)}}

    def _joint_positions(self) -> np.ndarray:
        positions = self.scene[ROBOT].data.joint_pos.torch[0, self._joint_ids]
        return positions.cpu().numpy().astype(float)

    def _block_position(self) -> np.ndarray:
        position = self.scene[BLOCK].data.root_link_pose_w.torch[0, :3] - self.scene.env_origins[0]
        return position.cpu().numpy().astype(float)

    def _gripper_frame(self) -> np.ndarray:
        pose = self.scene[ROBOT].data.body_link_pose_w.torch[0, self._gripper_id].cpu().numpy()
        axis, w = pose[3:6], pose[6]
        turned = 2 * np.cross(axis, np.cross(axis, task.GRIPPER_FRAME_M) + w * task.GRIPPER_FRAME_M)
        origin = self.scene.env_origins[0].cpu().numpy()
        return pose[:3] - origin + task.GRIPPER_FRAME_M + turned


def _row(values: np.ndarray) -> torch.Tensor:
    return torch.as_tensor(values, dtype=torch.float32)[None]
