"""The mirror's model and its renderer together: states in, pictures out. One thread owns it."""

from __future__ import annotations

from pathlib import Path

import mujoco
import numpy as np

from mujoco_mirror.framing import frame
from mujoco_mirror.gl import is_software, renderer_name
from mujoco_mirror.map_rules import MapRules
from mujoco_mirror.mirror import Mirror
from mujoco_mirror.quality import AUTO, quality_named
from mujoco_mirror.renderer import Overlay, Renderer, camera_named
from mujoco_mirror.scene import load_scene
from sim_bridge.types import SimState

AUTO_CAMERA = "auto"
_PICTURE_SCALE = 2


class View:
    """Loads a model for display. ``camera`` is ``auto`` or the name of a camera of the model.

    Raises BridgeError for a model that does not load, an unknown camera or quality, and a
    machine without OpenGL.
    """

    def __init__(
        self,
        model_path: Path,
        width: int = 640,
        height: int = 480,
        quality: str = AUTO,
        camera: str = AUTO_CAMERA,
        rules: MapRules | None = None,
        strict: bool = False,
        dressed: bool = True,
    ) -> None:
        software = is_software(renderer_name()) if quality == AUTO else False
        self.quality = quality_named(quality, software)
        self.scene = load_scene(model_path, self.quality, dressed)
        self.mirror = Mirror(self.scene.drawn, rules, strict)
        self.width, self.height = width, height
        self._camera_name = camera
        self._camera = camera_named(self.scene.drawn, camera) if self._fixed else None
        self._renderer = Renderer(
            self.scene.drawn, width, height, self.quality, self.scene.floor_shadow
        )

    def show(self, state: SimState, overlay: Overlay | None = None) -> np.ndarray:
        """Apply a state and draw it; RGB ``(height, width, 3)`` uint8."""
        self.mirror.apply(state)
        return self.draw(overlay)

    def draw(self, overlay: Overlay | None = None) -> np.ndarray:
        return self._renderer.draw(self.mirror.data, self._framed(), overlay)

    def picture(self) -> np.ndarray:
        """What is shown now, framed anew, large and at the best quality: a still, not a stream."""
        best = quality_named("best")
        width, height = _PICTURE_SCALE * self.width, _PICTURE_SCALE * self.height
        camera = self._camera if self._fixed else self._frame()
        try:
            with Renderer(self.scene.drawn, width, height, best) as renderer:
                return renderer.draw(self.mirror.data, camera)
        finally:
            self._renderer.make_current()

    def reframe(self) -> None:
        """Frame the scene anew at the next picture; does nothing for a camera of the model."""
        if not self._fixed:
            self._camera = None

    def close(self) -> None:
        self._renderer.close()

    def __enter__(self) -> View:
        return self

    def __exit__(self, *_) -> None:
        self.close()

    @property
    def _fixed(self) -> bool:
        return self._camera_name != AUTO_CAMERA

    def _framed(self) -> mujoco.MjvCamera:
        if self._camera is None:
            self._camera = self._frame()
        return self._camera

    def _frame(self) -> mujoco.MjvCamera:
        return frame(self.scene.drawn, self.mirror.data, self.width / self.height)
