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
    ``check_links``: compare with the simulator's tf; a link further off than the limits is
    reported.
    """

    model: str = ""
    map_rules: str = ""
    strict: bool = False
    width: int = 640
    height: int = 480
    quality: str = AUTO
    camera: str = AUTO_CAMERA
    dressed: bool = True
    check_links: bool = True
    link_limit_mm: float = 1.0
    link_limit_deg: float = 0.1

    def __post_init__(self) -> None:
        quality_named(self.quality)
        for name in ("link_limit_mm", "link_limit_deg"):
            if not getattr(self, name) > 0:
                raise InvalidRequest(f"parameter {name} is {getattr(self, name)}; valid: positive")
        for name in ("width", "height"):
            value = getattr(self, name)
            if value % 2 or not 32 <= value <= 4096:
                raise InvalidRequest(f"parameter {name} is {value}; valid: even, 32 to 4096 [px]")
