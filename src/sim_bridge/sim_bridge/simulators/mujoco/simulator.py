"""A plain MJCF scene in MuJoCo: actions go to its actuators, there is no task."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import mujoco
import numpy as np

from sim_bridge.errors import InvalidState, OperationFailed
from sim_bridge.simulators.mujoco.cameras import MujocoCameras, camera_specs
from sim_bridge.simulators.mujoco.mjcf_layout import observe
from sim_bridge.simulators.mujoco.mjcf_scene import MjcfScene
from sim_bridge.simulators.mujoco.scene import extras_of
from sim_bridge.types import LinkPoses, SimSpec, SimState, StepOutcome

_RANDOM = "random"
_DIVERGED = [int(getattr(mujoco.mjtWarning, f"mjWARN_BAD{q}")) for q in ("QPOS", "QVEL", "QACC")]


class MujocoSimulator:
    """Steps an ``MjcfScene``. The reward is 0 and episodes never end."""

    def __init__(
        self,
        task: str,
        kwargs: dict[str, Any] | None = None,
        image_width: int = 640,
        image_height: int = 480,
    ) -> None:
        self._mjcf = MjcfScene(task, kwargs)
        self._scene = self._mjcf.names
        self._model, self._data = self._scene.model, self._scene.data
        cameras = camera_specs(self._model, image_width, image_height)
        self._cameras = MujocoCameras(self._model, self._data, cameras)
        self._spec = self._mjcf.describe("mujoco", f"mujoco {mujoco.__version__}", cameras)

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
        self._mjcf.seed(seed, options)
        qpos, ctrl = self._mjcf.draw_start()
        mujoco.mj_resetData(self._model, self._data)
        self._data.qpos[:] = qpos
        self._data.ctrl[:] = self._holding() if ctrl is None else ctrl
        mujoco.mj_forward(self._model, self._data)
        return self._outcome() if restore is None else restore()

    def step(self, action: np.ndarray) -> StepOutcome:
        """OperationFailed when the simulation diverges; reset then."""
        self._data.ctrl[:] = action
        mujoco.mj_step(self._model, self._data, nstep=self._mjcf.substeps)
        if self._data.warning.number[_DIVERGED].any():
            raise OperationFailed("the simulation diverged (values that are not finite); reset")
        return self._outcome()

    def state(self, native: bool = False) -> SimState:
        extras = {_RANDOM: _pack_random(self._mjcf.random)} if native else None
        return self._scene.state(native, extras)

    def set_state(self, state: SimState) -> StepOutcome:
        return self._restorer(state)()

    def _restorer(self, state: SimState) -> Callable[[], StepOutcome]:
        """Checks all of ``state`` now; writes it when called."""
        native = self._scene.read_native(state)
        stream = extras_of(native).get(_RANDOM)
        random = None if stream is None else _unpack_random(stream)

        def restore() -> StepOutcome:
            self._scene.set_state(state, native)
            if random is not None:
                self._mjcf.random = random
            return self._outcome()

        return restore

    def link_poses(self) -> LinkPoses:
        return self._scene.link_poses()

    def render(self, camera: str) -> np.ndarray:
        return self._cameras.render(camera)

    def model_files(self) -> dict[str, bytes]:
        return self._mjcf.files

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
        return StepOutcome(arrays=observe(self._scene.state()))


def _pack_random(random: np.random.Generator) -> np.ndarray:
    return np.frombuffer(json.dumps(random.bit_generator.state).encode(), np.uint8)


def _unpack_random(stream: np.ndarray) -> np.random.Generator:
    random = np.random.default_rng()
    try:
        random.bit_generator.state = json.loads(stream.tobytes())
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidState(f"native block holds a broken random stream: {error!r}") from None
    return random
