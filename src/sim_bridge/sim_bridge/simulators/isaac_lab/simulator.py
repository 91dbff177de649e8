"""Isaac Lab 3: PhysX or Newton, without Kit, on the CPU or a GPU.

Raises typed errors (``sim_bridge.errors``) for an unknown task, a missing package or asset, and
CUDA where there is none. State that is not finite is an error, never a state.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from sim_bridge.errors import OperationFailed
from sim_bridge.files.model_files import mjcf_files, resolve_uri, sha256_of
from sim_bridge.settings.options import read_options
from sim_bridge.simulators import spaces
from sim_bridge.simulators.isaac_lab import memory as memory
from sim_bridge.simulators.isaac_lab.cameras import IsaacLabCameras
from sim_bridge.simulators.isaac_lab.runtime import PhysicsChoice, prepare, version_of
from sim_bridge.simulators.isaac_lab.scene import IsaacLabScene
from sim_bridge.simulators.isaac_lab.tasks import IsaacLabOptions, OpenTask, open_task
from sim_bridge.simulators.isaac_lab.threads import late_timers
from sim_bridge.types import LinkPoses, ModelReference, SimSpec, SimState, StepOutcome

if TYPE_CHECKING:
    from isaaclab.envs import DirectRLEnv, ManagerBasedRLEnv
    from isaaclab.managers import ObservationManager
    from isaaclab.scene import InteractiveScene

_SUCCESS_KEYS = ("succeed", "success", "is_success")


class IsaacLabSimulator:
    """One Isaac Lab environment; ``kwargs`` are ``IsaacLabOptions``."""

    def __init__(
        self,
        task: str,
        kwargs: Mapping[str, Any] | None = None,
        image_width: int = 640,
        image_height: int = 480,
    ) -> None:
        options = read_options(IsaacLabOptions, kwargs or {}, "task option")
        choice = PhysicsChoice(options.physics, options.device, options.physx_threads)
        device = prepare(choice)
        with late_timers():
            opened = open_task(task, choice, device, options, (image_width, image_height))
        self._env: DirectRLEnv | ManagerBasedRLEnv = opened.env
        self._own = opened.own
        self._scene = IsaacLabScene(self._env.scene, self._tensor)
        self._cameras = IsaacLabCameras(self._env.scene)
        self._files = mjcf_files(resolve_uri(opened.model_uri)) if opened.model_uri else {}
        self._engine = f"isaaclab {version_of('isaaclab')}, {choice.engine}"
        self._time_s = 0.0
        self._spec = self._describe(task, opened, device)

    @property
    def spec(self) -> SimSpec:
        return self._spec

    def reset(
        self,
        seed: int | None = None,
        state: SimState | None = None,
        options: dict[str, Any] | None = None,
    ) -> StepOutcome:
        if state is not None:
            self._unpacked(state)  # a refused state has reset nothing
        observation, info = self._env.reset(seed=seed, options=options)
        self._time_s = 0.0
        if state is not None:
            return self.set_state(state)
        return self._outcome(observation, info)

    def step(self, action: np.ndarray) -> StepOutcome:
        """One control period. Isaac Lab resets a finished environment within its step; here the
        last state of the episode stays until the client resets."""
        self._env._reset_idx = lambda env_ids: None
        try:
            result = self._env.step(self._tensor(np.asarray(action)[None]))
        finally:
            del self._env._reset_idx
        observation, reward, terminated, truncated, info = result
        self._time_s += self._spec.control_period_s
        return self._outcome(
            observation, info, float(reward[0]), bool(terminated[0]), bool(truncated[0])
        )

    def state(self, native: bool = False) -> SimState:
        state = self._scene.state(self._time_s)
        if not native:
            return state
        return replace(
            state, native_format=self._native_format, native=memory.pack(self._everything())
        )

    def set_state(self, state: SimState) -> StepOutcome:
        everything = self._unpacked(state)
        if everything is not None:
            self._env.scene.reset_to(_mapped(everything["scene"], self._tensor), is_relative=True)
            # reset_to makes the joint velocities the drives' velocity targets, for good.
            self._scene.write_velocity_targets(everything["velocity_targets"])
        self._scene.write(state)
        self._update_kinematics()
        if self._own:
            self._own.sync_control()
        if everything is not None:
            self._restore(everything)
        return self._outcome(self._observe(), {})

    def link_poses(self) -> LinkPoses:
        return self._scene.link_poses()

    def render(self, camera: str) -> np.ndarray:
        return self._cameras.render(camera)

    def model_files(self) -> dict[str, bytes]:
        return self._files

    def close(self) -> None:
        self._env.close()

    def _describe(self, task: str, opened: OpenTask, device: str) -> SimSpec:
        robots, bases = self._scene.robots
        space = self._env.single_action_space
        model = ModelReference("mjcf", opened.model_uri, sha256_of(self._files))
        return SimSpec(
            simulator="isaac_lab",
            simulator_version=f"{self._engine}, {device}",
            task=task,
            instruction=opened.instruction,
            robot_entities=robots,
            base_frames=bases,
            joints=self._scene.joint_specs(_sliding_joints(self._env.scene)),
            action=opened.action or spaces.action_spec(space, (), (), "custom"),
            observations=spaces.array_specs(self._env.single_observation_space["policy"]),
            control_period_s=float(self._env.step_dt),
            max_episode_steps=int(self._env.max_episode_length),
            cameras=self._cameras.specs,
            model=model if self._files else ModelReference(),
        )

    @property
    def _native_format(self) -> str:
        return f"{self._engine}, {self._spec.task}"

    def _everything(self) -> dict[str, Any]:
        task = self._own.memory() if self._own else {}
        return {
            "scene": self._env.scene.get_state(is_relative=True),
            "velocity_targets": self._scene.velocity_targets(),
            "task": task,
            "time_s": np.array(self._time_s),
            "episode_length": self._env.episode_length_buf,
        }

    def _unpacked(self, state: SimState) -> dict[str, Any] | None:
        """The native block of this engine and task, None without one. InvalidState if broken."""
        if state.native_format != self._native_format:
            return None
        return memory.unpack(state.native, self._everything())

    def _restore(self, everything: dict[str, Any]) -> None:
        if self._own:
            self._own.restore(everything["task"])
        self._time_s = float(everything["time_s"])
        self._env.episode_length_buf[:] = int(everything["episode_length"][0])

    def _update_kinematics(self) -> None:
        """Make poses that follow from what was written readable, without a step."""
        self._env.scene.write_data_to_sim()
        self._env.sim.forward()
        self._env.scene.update(0.0)

    def _observe(self) -> dict[str, Any]:
        manager: ObservationManager | None = getattr(self._env, "observation_manager", None)
        return manager.compute() if manager else self._env._get_observations()

    def _outcome(
        self,
        observation: Mapping[str, Any],
        info: Mapping[str, Any],
        reward: float = 0.0,
        terminated: bool = False,
        truncated: bool = False,
    ) -> StepOutcome:
        arrays = _arrays(self._env.single_observation_space["policy"], observation["policy"])
        for name, array in arrays.items():
            if not np.isfinite(array).all():
                raise OperationFailed(f"the engine's {name} is not finite: {array}; reset")
        return StepOutcome(
            arrays=arrays,
            reward=reward,
            terminated=terminated,
            truncated=truncated and not terminated,
            success=any(bool(info.get(key)) for key in _SUCCESS_KEYS),
            info={key: info[key] for key in _SUCCESS_KEYS if key in info},
        )

    def _tensor(self, values: np.ndarray) -> Any:
        import torch

        return torch.as_tensor(np.asarray(values), dtype=torch.float32, device=self._env.device)


def _arrays(space: Any, observation: Any) -> dict[str, np.ndarray]:
    return spaces.flatten(space, _mapped(observation, lambda row: row[0].cpu().numpy()))


def _mapped(tree: Any, convert: Any) -> Any:
    if isinstance(tree, Mapping):
        return {key: _mapped(value, convert) for key, value in tree.items()}
    return convert(tree)


def _sliding_joints(scene: InteractiveScene) -> frozenset[str]:
    """``entity/joint`` of the prismatic joints, which articulations do not tell apart."""
    from pxr import UsdPhysics

    stage = scene.stage
    sliding = {prim.GetName() for prim in stage.Traverse() if prim.IsA(UsdPhysics.PrismaticJoint)}
    return frozenset(
        f"{entity}/{joint}"
        for entity, articulation in scene.articulations.items()
        for joint in articulation.joint_names
        if joint in sliding
    )
