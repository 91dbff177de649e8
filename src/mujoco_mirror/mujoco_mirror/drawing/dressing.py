"""A studio around any model: floor, sky, light and materials, edited into its MjSpec.

Colours of objects are left as the model has them; what changes is what makes a picture legible:
one soft key light with shadows, fill light, a matte floor, a plain background.
"""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np

from mujoco_mirror.drawing.framing import is_goal
from mujoco_mirror.drawing.mesh_detail import simplify

_MESH = mujoco.mjtGeom.mjGEOM_MESH
_PLANE = mujoco.mjtGeom.mjGEOM_PLANE
_DIRECTIONAL = mujoco.mjtLightType.mjLIGHT_DIRECTIONAL
_TEXTURE_2D = mujoco.mjtTexture.mjTEXTURE_2D
_SKYBOX = mujoco.mjtTexture.mjTEXTURE_SKYBOX
_CHECKER = mujoco.mjtBuiltin.mjBUILTIN_CHECKER
_GRADIENT = mujoco.mjtBuiltin.mjBUILTIN_GRADIENT
_MARK_EDGE = mujoco.mjtMark.mjMARK_EDGE
_PREFIX = "mirror_"
_FLOOR_LEVEL_TOLERANCE = 1e-3
# Few faces: dropping some would be seen and gains nothing.
_SMALL_MESH = 500
_GOAL_ALPHA = 0.6


@dataclass(frozen=True)
class Studio:
    """Colours in linear 0..1 RGB; ``key_direction`` is where the key light shines to."""

    sky_top: tuple[float, float, float] = (0.52, 0.60, 0.68)
    sky_horizon: tuple[float, float, float] = (0.66, 0.71, 0.76)
    floor: tuple[float, float, float] = (0.60, 0.64, 0.68)
    floor_line: tuple[float, float, float] = (0.74, 0.78, 0.82)
    shadow: tuple[float, float, float] = (0.33, 0.36, 0.40)
    tile_m: float = 0.1
    key_direction: tuple[float, float, float] = (-0.45, 0.30, -1.0)


def dress(
    spec: mujoco.MjSpec, center: np.ndarray, extent: float, studio: Studio | None = None
) -> None:
    """Replace lights, sky and floor of ``spec`` in place; shadows cover ``extent`` [m] around
    ``center (3,)``."""
    studio = studio or Studio()
    spec.stat.center, spec.stat.extent = center, extent
    _lights(spec, studio, np.asarray(center), extent)
    _sky(spec, studio)
    _floor(spec, studio)
    _materials(spec)
    _goals(spec)


def drop_detail(spec: mujoco.MjSpec, compiled: mujoco.MjModel, cell_m: float) -> int:
    """Simplify the drawn meshes of ``spec`` (not compiled yet); returns the faces saved.

    ``compiled`` is the same model as it was. Textured meshes keep their triangles.
    """
    saved = 0
    for mesh in spec.meshes:
        name = mesh.name or mesh.file.rsplit("/", 1)[-1].rsplit(".", 1)[0]
        index = mujoco.mj_name2id(compiled, mujoco.mjtObj.mjOBJ_MESH, name)
        if (
            index < 0
            or compiled.mesh_texcoordnum[index]
            or compiled.mesh_facenum[index] < _SMALL_MESH
        ):
            continue
        vertices, faces = _mesh(compiled, index)
        fewer_vertices, fewer_faces = simplify(vertices, faces, cell_m)
        if not 4 <= len(fewer_faces) < len(faces):
            continue
        mesh.name = name
        mesh.file = ""
        mesh.scale, mesh.refpos, mesh.refquat = [1, 1, 1], [0, 0, 0], [1, 0, 0, 0]
        # A coarse shell may not be watertight; its volume is of no interest for drawing.
        mesh.inertia = mujoco.mjtMeshInertia.mjMESH_INERTIA_SHELL
        mesh.uservert = fewer_vertices.astype(np.float32).ravel()
        mesh.userface = fewer_faces.ravel()
        saved += len(faces) - len(fewer_faces)
    return saved


def robot_extent(model: mujoco.MjModel) -> float:
    """Edge of a box [m] around all jointed bodies at the reference pose."""
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    moving = [b for b in range(1, model.nbody) if int(model.body_weldid[b]) != 0]
    points = data.xpos[moving] if moving else np.zeros((1, 3))
    return float(max(np.ptp(points, axis=0).max(), 0.1))


def floor_height(model: mujoco.MjModel) -> float | None:
    """Height [m] of the highest horizontal plane that is fixed to the world; None without one."""
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    heights = [
        float(data.geom_xpos[g, 2])
        for g in range(model.ngeom)
        if int(model.geom_type[g]) == int(_PLANE)
        and int(model.body_weldid[model.geom_bodyid[g]]) == 0
        and data.geom_xmat[g, 8] > 1 - _FLOOR_LEVEL_TOLERANCE
    ]
    return max(heights, default=None)


def _mesh(model: mujoco.MjModel, index: int) -> tuple[np.ndarray, np.ndarray]:
    """Vertices in the frame of the mesh's file: MuJoCo moved them to the inertia frame."""
    first, count = model.mesh_vertadr[index], model.mesh_vertnum[index]
    turn = np.empty(9)
    mujoco.mju_quat2Mat(turn, model.mesh_quat[index])
    vertices = model.mesh_vert[first : first + count] @ turn.reshape(3, 3).T + model.mesh_pos[index]
    first, count = model.mesh_faceadr[index], model.mesh_facenum[index]
    return vertices, model.mesh_face[first : first + count]


def _lights(spec: mujoco.MjSpec, studio: Studio, center: np.ndarray, extent: float) -> None:
    for light in list(spec.lights):
        spec.delete(light)
    world = spec.worldbody
    key = np.asarray(studio.key_direction) / np.linalg.norm(studio.key_direction)
    world.add_light(
        name=f"{_PREFIX}key", type=_DIRECTIONAL, dir=key, pos=center - extent * key,
        diffuse=[0.62, 0.60, 0.57], specular=[0.25, 0.25, 0.25], ambient=[0, 0, 0], castshadow=True,
    )  # fmt: skip
    world.add_light(
        name=f"{_PREFIX}fill", type=_DIRECTIONAL, dir=[0.6, 0.3, -0.5], pos=[0, 0, 2],
        diffuse=[0.20, 0.22, 0.26], specular=[0.05, 0.05, 0.05], ambient=[0, 0, 0],
        castshadow=False,
    )  # fmt: skip
    headlight = spec.visual.headlight
    headlight.ambient = [0.42, 0.42, 0.43]
    headlight.diffuse = [0.12, 0.12, 0.12]
    headlight.specular = [0.08, 0.08, 0.08]


def _sky(spec: mujoco.MjSpec, studio: Studio) -> None:
    for texture in list(spec.textures):
        if int(texture.type) == int(_SKYBOX):
            spec.delete(texture)
    # The gradient runs from zenith to nadir: the horizon has the mean of its ends.
    bottom = np.clip(2 * np.array(studio.sky_horizon) - studio.sky_top, 0, 1)
    spec.add_texture(
        name=f"{_PREFIX}sky", type=_SKYBOX, builtin=_GRADIENT, width=256, height=1536,
        rgb1=studio.sky_top, rgb2=bottom,
    )  # fmt: skip
    spec.visual.rgba.haze = [*studio.sky_horizon, 1]


def _floor(spec: mujoco.MjSpec, studio: Studio) -> None:
    spec.add_texture(
        name=f"{_PREFIX}floor", type=_TEXTURE_2D, builtin=_CHECKER, mark=_MARK_EDGE,
        width=512, height=512, rgb1=studio.floor, rgb2=studio.floor, markrgb=studio.floor_line,
    )  # fmt: skip
    material = spec.add_material(name=f"{_PREFIX}floor")
    material.textures[int(mujoco.mjtTextureRole.mjTEXROLE_RGB)] = f"{_PREFIX}floor"
    material.texuniform = True
    material.texrepeat = [0.5 / studio.tile_m, 0.5 / studio.tile_m]
    material.reflectance, material.specular, material.shininess = 0.04, 0.1, 0.1
    planes = [g for g in spec.worldbody.geoms if int(g.type) == int(_PLANE)]
    if not planes:
        return
    for plane in planes:
        plane.material = f"{_PREFIX}floor"
        plane.rgba = [1, 1, 1, 1]
        plane.size = [0, 0, plane.size[2]]


def _materials(spec: mujoco.MjSpec) -> None:
    """Semi-gloss plastic instead of MuJoCo's default sheen."""
    for material in spec.materials:
        if not material.name.startswith(_PREFIX):
            material.specular, material.shininess = 0.25, 0.35


def _goals(spec: mujoco.MjSpec) -> None:
    """Sites that mark a goal are drawn, though the model hides them from its own cameras."""
    for site in spec.sites:
        if is_goal(site.name):
            site.group = 0
            site.rgba = [*site.rgba[:3], max(site.rgba[3], _GOAL_ALPHA)]
