"""Shadows on the floor by projection: a flattened dark copy of each body along the light.

A shadow map makes a software rasteriser draw every pixel three times; this costs a few triangles.
J. Blinn, "Me and my (fake) shadow", IEEE Computer Graphics and Applications, 1988.
"""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np

_FLAT = (int(mujoco.mjtGeom.mjGEOM_PLANE), int(mujoco.mjtGeom.mjGEOM_HFIELD))
_DECOR = int(mujoco.mjtCatBit.mjCAT_DECOR)
# Lit a little by the scene's lights, so most of the colour has to come from emission.
_LIT = 0.1
# Above the floor, or the two surfaces would fight for each pixel; relative to the scene.
_LIFT = 1e-3


@dataclass(frozen=True)
class FloorShadow:
    """Shadow on the plane ``z = height_m`` of light that shines to ``direction (3,)``."""

    height_m: float
    direction: tuple[float, float, float]
    color: tuple[float, float, float]

    def cast(self, scene: mujoco.MjvScene, extent_m: float) -> None:
        """Append the shadows of all opaque geoms of ``scene`` to it, as far as it has room."""
        x, y, z = self.direction
        flatten = np.array([[1.0, 0.0, -x / z], [0.0, 1.0, -y / z], [0.0, 0.0, 0.0]])
        offset = np.array(
            [x / z * self.height_m, y / z * self.height_m, self.height_m + _LIFT * extent_m]
        )
        geoms, count = scene.geoms, scene.ngeom
        for index in range(count):
            geom = geoms[index]
            if scene.ngeom >= scene.maxgeom:
                return
            if (
                geom.type in _FLAT
                or geom.category == _DECOR
                or geom.rgba[3] < 0.5
                or geom.pos[2] < self.height_m
            ):
                continue
            shadow = geoms[scene.ngeom]
            mujoco.mjv_initGeom(
                shadow, geom.type, geom.size, flatten @ geom.pos + offset,
                (flatten @ geom.mat).ravel(), np.array([*self._unlit, 1.0], np.float32),
            )  # fmt: skip
            shadow.dataid = geom.dataid
            shadow.emission, shadow.specular, shadow.reflectance = 1 / _LIT, 0.0, 0.0
            scene.ngeom += 1

    @property
    def _unlit(self) -> tuple[float, float, float]:
        red, green, blue = self.color
        return _LIT * red, _LIT * green, _LIT * blue
