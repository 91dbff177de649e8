"""A URDF as ROS 2 robots publish it, made readable for MuJoCo.

MuJoCo knows neither ``package://`` nor COLLADA, fuses fixed links unless told otherwise, and
wants inertia on every moving link; what it cannot draw is left out and reported.
"""

from __future__ import annotations

import logging
from xml.etree import ElementTree

from sim_bridge.errors import InvalidRequest, NotFound
from sim_bridge.files.model_files import resolve_uri

_log = logging.getLogger(__name__)
_MESHES = (".stl", ".obj")
_COMPILER = {
    "strippath": "false",
    "fusestatic": "false",
    "discardvisual": "false",
    "balanceinertia": "true",
    "boundmass": "1e-3",
    "boundinertia": "1e-6",
}


def for_mujoco(text: str) -> str:
    """The same robot with absolute mesh paths and MuJoCo's compiler options.

    InvalidRequest when it is not a URDF.
    """
    try:
        robot = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise InvalidRequest(f"robot description is not XML: {error}") from None
    if robot.tag != "robot":
        raise InvalidRequest(f"robot description starts with <{robot.tag}>; valid: <robot> (URDF)")
    for link in robot.iter("link"):
        for kind in ("visual", "collision"):
            for shape in link.findall(kind):
                if not _usable(shape, link.get("name", "")):
                    link.remove(shape)
    for old in robot.findall("mujoco"):
        robot.remove(old)
    ElementTree.SubElement(ElementTree.SubElement(robot, "mujoco"), "compiler", _COMPILER)
    return ElementTree.tostring(robot, encoding="unicode")


def _usable(shape: ElementTree.Element, link: str) -> bool:
    mesh = shape.find("geometry/mesh")
    if mesh is None:
        return True
    uri = mesh.get("filename", "")
    try:
        path = str(resolve_uri(uri)) if "://" in uri else uri
    except NotFound as error:
        _log.warning("link %s is drawn without a mesh: %s", link, error)
        return False
    if not path.lower().endswith(_MESHES):
        _log.warning("link %s: MuJoCo cannot read %s; valid: %s", link, uri, ", ".join(_MESHES))
        return False
    mesh.set("filename", path)
    return True
