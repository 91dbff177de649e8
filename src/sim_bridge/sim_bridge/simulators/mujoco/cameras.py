"""Cameras of a MuJoCo model: intrinsics and headless pictures."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import mujoco
import numpy as np

from sim_bridge.errors import OperationFailed
from sim_bridge.types import CameraSpec

FREE = "free"


def camera_specs(model: mujoco.MjModel, width: int, height: int) -> tuple[CameraSpec, ...]:
    """All named fixed cameras at one size [px], or ``free`` for a model without any; square
    pixels, principal point in the middle."""
    named = [(_wire_name(model, i), model.cam_fovy[i]) for i in range(model.ncam)]
    cameras = [(name, fovy) for name, fovy in named if name] or [(FREE, model.vis.global_.fovy)]
    return tuple(_spec(name, fovy, width, height) for name, fovy in cameras)


def _wire_name(model: mujoco.MjModel, camera: int) -> str:
    return model.camera(camera).name.replace("/", "_")


def _spec(name: str, fovy_deg: float, width: int, height: int) -> CameraSpec:
    focal = 0.5 * height / math.tan(math.radians(fovy_deg) / 2)
    center = (width - 1) / 2, (height - 1) / 2
    return CameraSpec(name, width, height, f"{name}_optical_frame", focal, focal, *center)


class MujocoCameras:
    """Draws a model's cameras; the GL context is made on first use, by the drawing thread.

    ``free_view`` says where a camera that the model does not have is; default: MuJoCo's own view.
    """

    def __init__(
        self,
        model: mujoco.MjModel,
        data: mujoco.MjData,
        specs: Sequence[CameraSpec],
        free_view: Callable[[], mujoco.MjvCamera] | None = None,
    ) -> None:
        self._model = model
        self._data = data
        self._specs = {spec.name: spec for spec in specs}
        self._cameras: dict[str, int | mujoco.MjvCamera] = {
            _wire_name(model, i): i for i in range(model.ncam)
        }
        self._free_view = free_view or self._default_view
        self._renderer: mujoco.Renderer | None = None

    def render(self, name: str) -> np.ndarray:
        """RGB ``(h, w, 3)`` uint8. OperationFailed when this machine cannot draw."""
        spec = self._specs[name]
        if self._renderer is None:
            self._renderer = self._open(spec)
        if name not in self._cameras:
            self._cameras[name] = self._free_view()
        self._renderer.update_scene(self._data, camera=self._cameras[name])
        return self._renderer.render()

    def _default_view(self) -> mujoco.MjvCamera:
        camera = mujoco.MjvCamera()
        mujoco.mjv_defaultFreeCamera(self._model, camera)
        return camera

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
