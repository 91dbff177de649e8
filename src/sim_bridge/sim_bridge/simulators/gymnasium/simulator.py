"""Any registered Gymnasium environment that is built on MuJoCo.

Reward, termination and the meaning of actions are the environment's own; the physics state is
read and written through the MuJoCo model and data that it exposes.
"""

from __future__ import annotations

import copy
import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import mujoco
import numpy as np
from gymnasium.envs.mujoco import MujocoEnv

from sim_bridge.errors import FeatureUnsupported, InvalidRequest, NotFound, suggestion
from sim_bridge.files.model_files import mjcf_files, resolve_uri, sha256_of
from sim_bridge.simulators import spaces
from sim_bridge.simulators.gymnasium import env_memory
from sim_bridge.simulators.gymnasium.presets import PRESETS, TaskPreset, preset_for
from sim_bridge.simulators.mujoco.cameras import MujocoCameras, camera_specs
from sim_bridge.simulators.mujoco.scene import MujocoScene, extras_of
from sim_bridge.types import LinkPoses, ModelReference, SimSpec, SimState, StepOutcome

_SUCCESS_KEYS = ("is_success", "success", "succeed")
_OBSERVERS = ("_compute_observation", "_get_obs", "get_obs")


class GymnasiumSimulator:
    """``task`` names a preset or a registered id; ``module:Id`` imports the module first.

    Raises NotFound for an unknown id (listing near ones), FeatureUnsupported for an environment
    without a MuJoCo model or with an action space other than a flat Box.
    """

    def __init__(
        self,
        task: str,
        kwargs: dict[str, Any] | None = None,
        image_width: int = 640,
        image_height: int = 480,
    ) -> None:
        preset = preset_for(task)
        self._env = _make(task, preset, kwargs or {})
        model, data = _physics(self._env, task)
        self._scene = MujocoScene(model, data, preset.entities)
        cameras = camera_specs(model, image_width, image_height)
        self._cameras = MujocoCameras(model, data, cameras, self._free_view)
        self._files = _model_files(preset, self._env)
        robots, bases = self._scene.robots()
        self._spec = SimSpec(
            simulator="gymnasium",
            simulator_version=f"mujoco {mujoco.__version__}, gymnasium {gymnasium.__version__}",
            task=task,
            instruction=preset.instruction,
            robot_entities=robots,
            base_frames=bases,
            joints=self._scene.joint_specs(),
            ball_joints=self._scene.ball_names,
            action=spaces.action_spec(
                self._env.action_space,
                preset.action_names,
                preset.action_units,
                preset.control_mode or _control_mode(self._env, model),
            ),
            observations=spaces.array_specs(self._env.observation_space),
            control_period_s=_control_period(self._env, model),
            max_episode_steps=(self._env.spec and self._env.spec.max_episode_steps) or 0,
            cameras=cameras,
            model=ModelReference("mjcf", preset.model_uri, sha256_of(self._files))
            if self._files
            else ModelReference(),
        )

    @property
    def spec(self) -> SimSpec:
        return self._spec

    def reset(
        self,
        seed: int | None = None,
        state: SimState | None = None,
        options: dict[str, Any] | None = None,
    ) -> StepOutcome:
        restore = None if state is None else self._restorer(state)
        observation, info = self._env.reset(seed=seed, options=options)
        return self._outcome(observation, info=info) if restore is None else restore()

    def step(self, action: np.ndarray) -> StepOutcome:
        typed = action.astype(self._env.action_space.dtype)
        observation, reward, terminated, truncated, info = self._env.step(typed)
        return self._outcome(observation, float(reward), bool(terminated), bool(truncated), info)

    def state(self, native: bool = False) -> SimState:
        extras = env_memory.capture(self._env) if native else None
        return self._scene.state(native, extras)

    def set_state(self, state: SimState) -> StepOutcome:
        return self._restorer(state)()

    def _restorer(self, state: SimState) -> Callable[[], StepOutcome]:
        """Checks all of ``state`` now; writes it when called."""
        observe = _observer(self._env, self._spec.task)
        native = self._scene.read_native(state)
        memory = env_memory.parse(self._env, extras_of(native))

        def restore() -> StepOutcome:
            self._scene.set_state(state, native)
            if memory is not None:
                env_memory.restore(self._env, memory)
            return self._outcome(observe())

        return restore

    def link_poses(self) -> LinkPoses:
        return self._scene.link_poses()

    def render(self, camera: str) -> np.ndarray:
        return self._cameras.render(camera)

    def _free_view(self) -> mujoco.MjvCamera:
        """Where Gymnasium's own renderer looks from at a model without cameras."""
        model, data = self._scene.model, self._scene.data
        camera = mujoco.MjvCamera()
        camera.distance = model.stat.extent
        camera.lookat[:] = np.median(data.geom_xpos, axis=0)
        renderer = getattr(self._env.unwrapped, "mujoco_renderer", None)
        for name, value in (getattr(renderer, "default_cam_config", None) or {}).items():
            setattr(camera, name, value)
        return camera

    def model_files(self) -> dict[str, bytes]:
        return self._files

    def close(self) -> None:
        self._cameras.close()
        self._env.close()

    def _outcome(
        self,
        observation: object,
        reward: float = 0.0,
        terminated: bool = False,
        truncated: bool = False,
        info: dict[str, Any] | None = None,
    ) -> StepOutcome:
        info = info or {}
        return StepOutcome(
            arrays=spaces.flatten(self._env.observation_space, observation),
            reward=reward,
            terminated=terminated,
            truncated=truncated,
            success=any(bool(info.get(key)) for key in _SUCCESS_KEYS),
            info=info,
        )


def _observer(env: gymnasium.Env, task: str) -> Callable[[], object]:
    for name in _OBSERVERS:
        if hasattr(env.unwrapped, name):
            return getattr(env.unwrapped, name)
    raise FeatureUnsupported(
        f"{task} has no way to observe without a step, so its state cannot be set; known: "
        + ", ".join(f"{name}()" for name in _OBSERVERS)
    )


def _make(task: str, preset: TaskPreset, kwargs: dict[str, Any]) -> gymnasium.Env:
    try:
        if preset.module:
            importlib.import_module(preset.module)
        spec = copy.deepcopy(gymnasium.spec(preset.gym_id))
        if preset.entry_point:
            spec.entry_point = preset.entry_point
            spec.kwargs.pop("obs_type", None)
        return gymnasium.make(spec, disable_env_checker=True, **{**preset.kwargs, **kwargs})
    except (gymnasium.error.Error, ModuleNotFoundError) as error:
        if (
            isinstance(error, ModuleNotFoundError)
            and error.name
            and not task.startswith(error.name)
        ):
            raise NotFound(f"task {task!r} needs the Python module {error.name!r}") from error
        known = ", ".join([*PRESETS, "any other id that is registered with Gymnasium"])
        near = suggestion(task, (*PRESETS, *gymnasium.registry))
        raise NotFound(f"unknown task {task!r}; valid: {known}{near}") from error
    except TypeError as error:
        # Gymnasium adds every option behind the environment's own words.
        reason = str(error).split(" was raised from")[0]
        raise InvalidRequest(f"task {task!r} does not take its options: {reason}") from error


def _physics(env: gymnasium.Env, task: str) -> tuple[mujoco.MjModel, mujoco.MjData]:
    inner = env.unwrapped
    model, data = getattr(inner, "model", None), getattr(inner, "data", None)
    if not isinstance(model, mujoco.MjModel) or not isinstance(data, mujoco.MjData):
        raise FeatureUnsupported(
            f"task {task!r} exposes no MuJoCo model and data on its environment"
        )
    return model, data


def _control_mode(env: gymnasium.Env, model: mujoco.MjModel) -> str:
    """``joint_effort`` where actions are what the motors of single joints are told."""
    motors = (
        (model.actuator_gaintype == mujoco.mjtGain.mjGAIN_FIXED)
        & (model.actuator_biastype == mujoco.mjtBias.mjBIAS_NONE)
        & (model.actuator_dyntype == mujoco.mjtDyn.mjDYN_NONE)
        & (model.actuator_trntype == mujoco.mjtTrn.mjTRN_JOINT)
    )
    # Gymnasium's own environments hand their action to the actuators as it is.
    direct = isinstance(env.unwrapped, MujocoEnv) and env.action_space.shape == (model.nu,)
    return "joint_effort" if direct and motors.all() else "custom"


def _control_period(env: gymnasium.Env, model: mujoco.MjModel) -> float:
    """Simulated seconds of one step: the environment's own word, else its frame skip."""
    inner = env.unwrapped
    for name in ("control_dt", "dt"):
        if isinstance(getattr(inner, name, None), (int, float)):
            return float(getattr(inner, name))
    return float(model.opt.timestep) * int(getattr(inner, "frame_skip", 1))


def _model_files(preset: TaskPreset, env: gymnasium.Env) -> dict[str, bytes]:
    if preset.model_uri:
        return mjcf_files(resolve_uri(preset.model_uri))
    path = getattr(env.unwrapped, "fullpath", "")
    return mjcf_files(Path(path)) if path else {}
