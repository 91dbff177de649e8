"""Cameras of an Isaac Lab scene: intrinsics and pictures, drawn only when one is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sim_bridge.errors import OperationFailed
from sim_bridge.types import CameraSpec

if TYPE_CHECKING:
    from isaaclab.scene import InteractiveScene
    from isaaclab.sensors import Camera


class IsaacLabCameras:
    """The sensors of ``scene`` that give ``rgb``. Lazy sensors draw when their data is read."""

    def __init__(self, scene: InteractiveScene) -> None:
        self._sensors: dict[str, Camera] = {
            name: sensor
            for name, sensor in scene.sensors.items()
            if "rgb" in getattr(sensor.cfg, "data_types", ())
        }
        self.specs = tuple(_spec(name, sensor) for name, sensor in self._sensors.items())

    def render(self, name: str) -> np.ndarray:
        """RGB ``(h, w, 3)`` uint8."""
        sensor = self._sensors[name]
        sensor.update(0.0, force_recompute=True)
        image = sensor.data.output.get("rgb")
        if image is None:
            raise OperationFailed(f"camera {name!r}: the renderer returned no picture")
        image = getattr(image, "torch", image)
        return np.ascontiguousarray(image[0, :, :, :3].cpu().numpy())


def pinhole(width: int, height: int, fovy_deg: float) -> tuple[float, float, float]:
    """Focal length, horizontal and vertical aperture, in one unit, for square pixels."""
    vertical = 24.0
    focal = 0.5 * vertical / float(np.tan(np.radians(fovy_deg) / 2))
    return focal, vertical * width / height, vertical


def _spec(name: str, sensor: Camera) -> CameraSpec:
    cfg = sensor.cfg
    fx = cfg.width * cfg.spawn.focal_length / cfg.spawn.horizontal_aperture
    return CameraSpec(
        name=name,
        width=cfg.width,
        height=cfg.height,
        frame_id=f"{name}_optical_frame",
        fx=fx,
        fy=fx,
        cx=(cfg.width - 1) / 2,
        cy=(cfg.height - 1) / 2,
    )
