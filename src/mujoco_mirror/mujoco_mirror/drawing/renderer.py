"""Draws a model headless into RGB arrays. One thread makes, uses and closes a renderer."""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np

from mujoco_mirror.drawing.floor_shadow import FloorShadow
from mujoco_mirror.drawing.gl import create_context
from mujoco_mirror.drawing.quality import Quality
from sim_bridge.errors import unknown

_SPARE_GEOMS = 1000
# Narrower pictures [px] have half the font, or their overlay would hide the robot.
_SMALL_WIDTH = 480


@dataclass(frozen=True)
class Overlay:
    """Two columns of text in the top left corner, line by line."""

    titles: tuple[str, ...] = ()
    values: tuple[str, ...] = ()


class Renderer:
    """Pictures of ``width`` x ``height`` [px]. OperationFailed when there is no OpenGL here.

    The framebuffer's size and samples are part of ``model.vis`` and are set there.
    """

    def __init__(
        self,
        model: mujoco.MjModel,
        width: int,
        height: int,
        quality: Quality,
        floor_shadow: FloorShadow | None = None,
    ) -> None:
        self.width, self.height = width, height
        self._model = model
        self._floor_shadow = None if quality.shadow_size else floor_shadow
        self._gl = create_context(width, height)
        self._gl.make_current()
        model.vis.global_.offwidth, model.vis.global_.offheight = width, height
        model.vis.quality.offsamples = quality.samples
        model.vis.quality.shadowsize = quality.shadow_size
        font = mujoco.mjtFontScale.mjFONTSCALE_100
        if width < _SMALL_WIDTH:
            font = mujoco.mjtFontScale.mjFONTSCALE_50
        self._context = mujoco.MjrContext(model, font)
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self._context)
        self._context.readDepthMap = mujoco.mjtDepthMap.mjDEPTH_ZEROFAR
        self._option = mujoco.MjvOption()
        self._perturb = mujoco.MjvPerturb()
        self._view = mujoco.MjrRect(0, 0, width, height)
        self._scene = mujoco.MjvScene(model, 2 * model.ngeom + _SPARE_GEOMS)
        flags = self._scene.flags
        flags[mujoco.mjtRndFlag.mjRND_SHADOW] = quality.shadow_size > 0
        flags[mujoco.mjtRndFlag.mjRND_REFLECTION] = quality.reflections
        flags[mujoco.mjtRndFlag.mjRND_HAZE] = True
        self._flipped = np.empty((height, width, 3), np.uint8)
        self._closed = False

    def draw(
        self, data: mujoco.MjData, camera: mujoco.MjvCamera, overlay: Overlay | None = None
    ) -> np.ndarray:
        """RGB ``(height, width, 3)`` uint8, a new array each time."""
        self._gl.make_current()  # another renderer may have been used in this thread
        mujoco.mjv_updateScene(
            self._model, data, self._option, self._perturb, camera,
            mujoco.mjtCatBit.mjCAT_ALL, self._scene,
        )  # fmt: skip
        if self._floor_shadow is not None:
            self._floor_shadow.cast(self._scene, float(self._model.stat.extent))
        mujoco.mjr_render(self._view, self._scene, self._context)
        if overlay is not None and overlay.titles:
            mujoco.mjr_overlay(
                mujoco.mjtFont.mjFONT_NORMAL, mujoco.mjtGridPos.mjGRID_TOPLEFT, self._view,
                "\n".join(overlay.titles), "\n".join(overlay.values), self._context,
            )  # fmt: skip
        mujoco.mjr_readPixels(self._flipped, None, self._view, self._context)
        return self._flipped[::-1].copy()

    def close(self) -> None:
        if not self._closed:
            self._gl.make_current()
            self._context.free()
            self._gl.free()
            self._closed = True

    def __enter__(self) -> Renderer:
        return self

    def __exit__(self, *_) -> None:
        self.close()


def camera_named(model: mujoco.MjModel, name: str) -> mujoco.MjvCamera:
    """A camera of the model; NotFound lists the valid names."""
    index = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_CAMERA, name)
    if index < 0:
        raise unknown("camera", name, ["auto", *(model.camera(i).name for i in range(model.ncam))])
    camera = mujoco.MjvCamera()
    camera.type = mujoco.mjtCamera.mjCAMERA_FIXED
    camera.fixedcamid = index
    return camera
