"""Parameters of the mirror node, validated once."""

from __future__ import annotations

from dataclasses import dataclass

from mujoco_mirror.quality import AUTO, quality_named
from mujoco_mirror.view import AUTO_CAMERA
from sim_bridge.errors import InvalidRequest


@dataclass(frozen=True)
class MirrorParameters:
    """``model``: file of an MJCF or URDF; empty: the one that the simulator's spec refers to.
    ``map_rules``: YAML file (see ``map_rules``). ``camera``: ``auto`` or a camera of the model.
    ``quality``: ``auto``, ``fast``, ``balanced`` or ``best``. ``dressed``: false draws the model
    with its own lights and floor. ``strict``: refuse states and models with unmatched names.
    """

    model: str = ""
    map_rules: str = ""
    strict: bool = False
    width: int = 640
    height: int = 480
    quality: str = AUTO
    camera: str = AUTO_CAMERA
    dressed: bool = True

    def __post_init__(self) -> None:
        quality_named(self.quality)
        for name in ("width", "height"):
            value = getattr(self, name)
            if value % 2 or not 32 <= value <= 4096:
                raise InvalidRequest(f"parameter {name} is {value}; valid: even, 32 to 4096 [px]")
