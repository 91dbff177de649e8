"""The mirror's model and its renderer together: states in, pictures out. One thread owns it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mujoco_mirror.drawing.framing import Cameraman, Subject, frame
from mujoco_mirror.drawing.gl import is_software, renderer_name
from mujoco_mirror.drawing.quality import AUTO, quality_named
from mujoco_mirror.drawing.renderer import Overlay, Renderer, camera_named
from mujoco_mirror.drawing.scene import load_scene
from mujoco_mirror.model.map_rules import MapRules
from mujoco_mirror.model.mirror import Mirror
from sim_bridge.types import SimState

AUTO_CAMERA = "auto"
_PICTURE_SCALE = 2
_SEPARATOR_PX = 2


@dataclass(frozen=True)
class ViewSettings:
    """``width`` and ``height`` [px] are of each camera's picture; several stand side by side.

    A camera is ``auto`` (frames and follows all that moves) or the name of a camera of the model.
    Without ``dressed`` the model keeps its own lights, floor and sky.
    """

    width: int = 640
    height: int = 480
    quality: str = AUTO
    cameras: tuple[str, ...] = (AUTO_CAMERA,)
    dressed: bool = True
    strict: bool = False


class View:
    """Loads a model for display.

    Raises BridgeError for a model that does not load, an unknown camera or quality, and a
    machine without OpenGL.
    """

    def __init__(
        self, model_path: Path, settings: ViewSettings, rules: MapRules | None = None
    ) -> None:
        self.settings = settings
        software = is_software(renderer_name())
        self.quality = quality_named(settings.quality, software)
        self._still_quality = quality_named("balanced" if software else "best")
        self._still: Renderer | None = None
        self.scene = load_scene(model_path, self.quality, settings.dressed)
        self._subject = Subject(self.scene.drawn)
        self.mirror = Mirror(self.scene.drawn, rules, settings.strict)
        self._cameras = [
            None if name == AUTO_CAMERA else camera_named(self.scene.drawn, name)
            for name in settings.cameras
        ]
        self._cameraman = self.cameraman()
        self._renderer = Renderer(
            self.scene.drawn,
            settings.width,
            settings.height,
            self.quality,
            self.scene.floor_shadow,
        )

    @property
    def frame_size(self) -> tuple[int, int]:
        """Width and height [px] of what ``draw`` returns."""
        return len(self._cameras) * self.settings.width, self.settings.height

    def show(
        self,
        state: SimState,
        overlay: Overlay | None = None,
        cameraman: Cameraman | None = None,
    ) -> np.ndarray:
        """Apply a state and draw it; RGB ``(h, w, 3)`` uint8 of ``frame_size``.

        Whoever shows states in another order than others brings a cameraman of their own.
        """
        self.mirror.apply(state)
        return self.draw(overlay, cameraman)

    def draw(
        self, overlay: Overlay | None = None, cameraman: Cameraman | None = None
    ) -> np.ndarray:
        """The state now; the overlay is written into the first camera's picture."""
        data = self.mirror.data
        followed = (cameraman or self._cameraman).camera(data)
        pictures = [
            self._renderer.draw(data, camera or followed, None if index else overlay)
            for index, camera in enumerate(self._cameras)
        ]
        for picture in pictures[1:]:
            picture[:, :_SEPARATOR_PX] = 0
        return pictures[0] if len(pictures) == 1 else np.hstack(pictures)

    def picture(self) -> np.ndarray:
        """What the first camera sees now, framed anew, large and fine: a still, not a stream."""
        still = self.prepare()
        aspect = self.settings.width / self.settings.height
        camera = self._cameras[0] or frame(self._subject, self.mirror.data, aspect)
        return still.draw(self.mirror.data, camera)

    def prepare(self) -> Renderer:
        """Do now what would make the first ``draw`` and the first ``picture`` slow; the still's
        renderer."""
        if self._still is None:
            self.draw()
            width, height = self.settings.width, self.settings.height
            self._still = Renderer(
                self.scene.drawn,
                _PICTURE_SCALE * width,
                _PICTURE_SCALE * height,
                self._still_quality,
                self.scene.floor_shadow,
            )
        return self._still

    def cameraman(self) -> Cameraman:
        """One more automatic camera, for the size of these pictures."""
        return Cameraman(self._subject, self.settings.width / self.settings.height)

    def follow(self) -> None:
        """Let the view's own cameraman see a state that was drawn with another's camera."""
        self._cameraman.camera(self.mirror.data)

    def reframe(self) -> None:
        """Let the automatic camera frame the scene again at the next picture."""
        self._cameraman.restart()

    def close(self) -> None:
        self._renderer.close()
        if self._still is not None:
            self._still.close()

    def __enter__(self) -> View:
        return self

    def __exit__(self, *_) -> None:
        self.close()
