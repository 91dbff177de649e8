"""Parameters of the mirror node, validated once."""

from __future__ import annotations

from dataclasses import dataclass

from mujoco_mirror.drawing.quality import AUTO, quality_named
from mujoco_mirror.drawing.view import AUTO_CAMERA, ViewSettings
from mujoco_mirror.late.display import HOLD, POLICIES
from sim_bridge.errors import InvalidRequest

ROBOT_DESCRIPTION = "robot_description"
SOURCES = ("state", "joint_states")


@dataclass(frozen=True)
class MirrorParameters:
    """``model``: file of an MJCF or URDF; empty: the one that the simulator's spec refers to;
    ``robot_description``: the URDF on that topic, for robots without our bridge.
    ``map_rules``: YAML file (see ``map_rules``). ``strict``: refuse leftover names.
    ``source``: ``state`` of a bridge or ``joint_states`` of any robot, then with the tf frames
    ``bases`` (comma-separated) as bodies and ``period_s`` between two frames of a recording.

    ``cameras``: ``auto`` or names of the model's cameras, comma-separated, for pictures side by
    side. ``quality``: ``auto``, ``fast``, ``balanced`` or ``best``. ``dressed``: false draws the
    model with its own lights and floor. ``overlay``: write step, time, lag and error into the
    picture. ``viewer``: open MuJoCo's window.

    ``late``: what to show while states are late, for a simulator in real time: ``hold`` the last
    one, ``interpolate`` with ``delay_s``, or ``predict`` with local physics.
    ``check_links``: compare with the simulator's tf; a link further off than the limits is
    reported.
    """

    model: str = ""
    period_s: float = 0.1
    map_rules: str = ""
    strict: bool = False
    width: int = 640
    height: int = 480
    quality: str = AUTO
    cameras: str = AUTO_CAMERA
    dressed: bool = True
    overlay: bool = False
    viewer: bool = False
    late: str = HOLD
    delay_s: float = 0.15
    source: str = "state"
    bases: str = ""
    check_links: bool = True
    link_limit_mm: float = 1.0
    link_limit_deg: float = 0.1

    def __post_init__(self) -> None:
        quality_named(self.quality)
        if self.late not in POLICIES:
            raise InvalidRequest(f"parameter late is {self.late!r}; valid: {', '.join(POLICIES)}")
        if self.source not in SOURCES:
            raise InvalidRequest(
                f"parameter source is {self.source!r}; valid: {', '.join(SOURCES)}"
            )
        for name in ("link_limit_mm", "link_limit_deg"):
            if not getattr(self, name) > 0:
                raise InvalidRequest(f"parameter {name} is {getattr(self, name)}; valid: positive")
        for name in ("width", "height"):
            value = getattr(self, name)
            if value % 2 or not 32 <= value <= 4096:
                raise InvalidRequest(f"parameter {name} is {value}; valid: even, 32 to 4096 [px]")

    def view_settings(self) -> ViewSettings:
        return ViewSettings(
            self.width,
            self.height,
            self.quality,
            tuple(name.strip() for name in self.cameras.split(",") if name.strip()),
            self.dressed,
            self.strict,
        )
