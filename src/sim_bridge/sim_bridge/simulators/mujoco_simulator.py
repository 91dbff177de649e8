"""A plain MJCF scene in MuJoCo: actions go to its actuators, there is no task."""

from __future__ import annotations

import json
from typing import Any

import mujoco
import numpy as np

from sim_bridge.errors import InvalidRequest, OperationFailed
from sim_bridge.model_files import mjcf_files, sha256_of
from sim_bridge.simulators import mjcf_layout as layout
from sim_bridge.simulators.mjcf_tasks import find_task, load_model, read_options
from sim_bridge.simulators.mujoco_cameras import MujocoCameras, camera_specs
from sim_bridge.simulators.mujoco_scene import MujocoScene
from sim_bridge.types import LinkPoses, SimSpec, SimState, StepOutcome

_RANDOM = "random"
_DIVERGED = [int(getattr(mujoco.mjtWarning, f"mjWARN_BAD{q}")) for q in ("QPOS", "QVEL", "QACC")]


class MujocoSimulator:
    """Steps the scene ``task`` (see ``mjcf_tasks.find_task``); ``kwargs`` are ``MjcfOptions``.

    The reward is 0 and episodes never end. Raises NotFound for a missing file, InvalidRequest
    for bad options, FeatureUnsupported for a model without actuators.
    """

    def __init__(
        self,
        task: str,
        kwargs: dict[str, Any] | None = None,
        image_width: int = 640,
        image_height: int = 480,
    ) -> None:
        source = find_task(task)
        self._options = read_options(kwargs or {})
        self._model = model = load_model(source)
        self._files = mjcf_files(source.path)
        self._data = mujoco.MjData(model)
        entities = {**source.entities, **self._options.entities}
        self._scene = MujocoScene(model, self._data, entities)
        self._substeps = layout.substeps(self._options.control_period_s, model.opt.timestep)
        self._start = layout.initial_positions(model, self._options.keyframe)
        self._random = np.random.default_rng()
        cameras = camera_specs(model, image_width, image_height)
        self._cameras = MujocoCameras(model, self._data, cameras)
        self._spec = layout.scene_spec(
            self._scene,
            source,
            self._options,
            simulator="mujoco",
            version=f"mujoco {mujoco.__version__}",
            files_sha256=sha256_of(self._files),
            cameras=cameras,
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
        if options:
            raise InvalidRequest(f"reset options {sorted(options)}; valid: none for an MJCF scene")
        if seed is not None:
            self._random = np.random.default_rng(seed)
        qpos, ctrl = self._start
        noise = self._options.joint_noise, self._options.body_noise_m
        mujoco.mj_resetData(self._model, self._data)
        self._data.qpos[:] = layout.deviate(self._scene, qpos, *noise, self._random)
        self._data.ctrl[:] = self._holding() if ctrl is None else ctrl
        mujoco.mj_forward(self._model, self._data)
        return self._outcome() if state is None else self.set_state(state)

    def step(self, action: np.ndarray) -> StepOutcome:
        """OperationFailed when the simulation diverges; reset then."""
        self._data.ctrl[:] = action
        mujoco.mj_step(self._model, self._data, nstep=self._substeps)
        if self._data.warning.number[_DIVERGED].any():
            raise OperationFailed("the simulation diverged (values that are not finite); reset")
        return self._outcome()

    def state(self, native: bool = False) -> SimState:
        extras = {_RANDOM: _pack_random(self._random)} if native else None
        return self._scene.state(native, extras)

    def set_state(self, state: SimState) -> StepOutcome:
        extras = self._scene.set_state(state)
        if _RANDOM in extras:
            self._random.bit_generator.state = json.loads(extras[_RANDOM].tobytes())
        return self._outcome()

    def link_poses(self) -> LinkPoses:
        return self._scene.link_poses()

    def render(self, camera: str) -> np.ndarray:
        return self._cameras.render(camera)

    def model_files(self) -> dict[str, bytes]:
        return self._files

    def close(self) -> None:
        self._cameras.close()

    def _holding(self) -> np.ndarray:
        """Controls that keep the joints where they are, as far as the bounds allow."""
        ctrl = np.zeros(self._model.nu)
        for actuator in self._scene.position_actuators:
            joint = int(self._model.actuator_trnid[actuator, 0])
            ctrl[actuator] = self._data.qpos[self._model.jnt_qposadr[joint]]
        return np.clip(ctrl, self._spec.action.low, self._spec.action.high)

    def _outcome(self) -> StepOutcome:
        return StepOutcome(arrays=layout.observe(self._scene.state()))


def _pack_random(random: np.random.Generator) -> np.ndarray:
    return np.frombuffer(json.dumps(random.bit_generator.state).encode(), np.uint8)
