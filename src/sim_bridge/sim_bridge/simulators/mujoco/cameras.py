"""Cameras of a MuJoCo model: intrinsics and headless pictures."""

from __future__ import annotations

import math
from collections.abc import Sequence

import mujoco
import numpy as np

from sim_bridge.errors import OperationFailed
from sim_bridge.types import CameraSpec


def camera_specs(model: mujoco.MjModel, width: int, height: int) -> tuple[CameraSpec, ...]:
    """All named fixed cameras at one size [px]; square pixels, principal point in the middle."""
    out = []
    for camera in range(model.ncam):
        name = model.camera(camera).name
        if name:
            focal = 0.5 * height / math.tan(math.radians(model.cam_fovy[camera]) / 2)
            out.append(
                CameraSpec(
                    name=name.replace("/", "_"),
                    width=width,
                    height=height,
                    frame_id=f"{name.replace('/', '_')}_optical_frame",
                    fx=focal,
                    fy=focal,
                    cx=(width - 1) / 2,
                    cy=(height - 1) / 2,
                )
            )
    return tuple(out)


class MujocoCameras:
    """Draws a model's cameras; the GL context is made on first use, by the drawing thread."""

    def __init__(
        self, model: mujoco.MjModel, data: mujoco.MjData, specs: Sequence[CameraSpec]
    ) -> None:
        self._model = model
        self._data = data
        self._specs = {spec.name: spec for spec in specs}
        self._ids = {model.camera(i).name.replace("/", "_"): i for i in range(model.ncam)}
        self._renderer: mujoco.Renderer | None = None

    def render(self, name: str) -> np.ndarray:
        """RGB ``(h, w, 3)`` uint8. OperationFailed when this machine cannot draw."""
        spec = self._specs[name]
        if self._renderer is None:
            self._renderer = self._open(spec)
        self._renderer.update_scene(self._data, camera=self._ids[name])
        return self._renderer.render()

    def _open(self, spec: CameraSpec) -> mujoco.Renderer:
        buffer = self._model.vis.global_
        buffer.offwidth = max(buffer.offwidth, spec.width)
        buffer.offheight = max(buffer.offheight, spec.height)
        try:
            return mujoco.Renderer(self._model, spec.height, spec.width)
        except Exception as error:
            raise OperationFailed(
                f"no offscreen OpenGL context ({error!r}); on a machine without a display install "
                "libegl1 and libgl1-mesa-dri and set MUJOCO_GL=egl, or libosmesa6 and osmesa"
            ) from error

    def close(self) -> None:
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None
