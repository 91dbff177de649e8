"""An MJCF scene without a task, as any engine may simulate it: model, names, limits, start."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import mujoco
import numpy as np

from sim_bridge.errors import InvalidRequest
from sim_bridge.files.model_files import mjcf_files, sha256_of
from sim_bridge.settings.options import read_options
from sim_bridge.simulators.mujoco import mjcf_layout as layout
from sim_bridge.simulators.mujoco.mjcf_tasks import MjcfOptions, find_task, load_model
from sim_bridge.simulators.mujoco.scene import MujocoScene
from sim_bridge.types import CameraSpec, SimSpec


class MjcfScene:
    """``task`` as for ``mjcf_tasks.find_task``; ``kwargs`` are ``MjcfOptions``.

    ``names`` views the model and a ``MjData`` of it, which an engine may step or leave alone.
    Raises NotFound for a missing file, InvalidRequest for bad options, FeatureUnsupported for a
    model without actuators.
    """

    def __init__(self, task: str, kwargs: Mapping[str, Any] | None) -> None:
        self._source = source = find_task(task)
        self._options = options = read_options(MjcfOptions, kwargs or {}, "scene option")
        self.model = load_model(source)
        self.files = mjcf_files(source.path)
        self.names = MujocoScene(
            self.model, mujoco.MjData(self.model), {**source.entities, **options.entities}
        )
        self.substeps = layout.substeps(options.control_period_s, self.model.opt.timestep)
        self._start = layout.initial_positions(self.model, options.keyframe)
        self.random = np.random.default_rng()

    def describe(
        self, simulator: str, version: str, cameras: tuple[CameraSpec, ...] = ()
    ) -> SimSpec:
        return layout.scene_spec(
            self.names, self._source, self._options, simulator, version,
            sha256_of(self.files), cameras,
        )  # fmt: skip

    def seed(self, seed: int | None, options: Mapping[str, Any] | None) -> None:
        """What every reset begins with. InvalidRequest for options: there are none."""
        if options:
            raise InvalidRequest(f"reset options {sorted(options)}; valid: none for an MJCF scene")
        if seed is not None:
            self.random = np.random.default_rng(seed)

    def draw_start(self) -> tuple[np.ndarray, np.ndarray | None]:
        """Where the next episode starts: ``qpos (nq,)``; ``ctrl (nu,)`` if the model says so."""
        qpos, ctrl = self._start
        noise = self._options.joint_noise, self._options.body_noise_m
        return layout.deviate(self.names, qpos, *noise, self.random), ctrl
