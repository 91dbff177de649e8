"""Parameters of the mirror node, validated once."""

from __future__ import annotations

from dataclasses import dataclass

from mujoco_mirror.drawing.quality import AUTO, QUALITIES
from mujoco_mirror.drawing.view import AUTO_CAMERA, ViewSettings
from mujoco_mirror.late.display import COMPENSATIONS, HOLD
from sim_bridge.settings.parameters import check, parameter

ROBOT_DESCRIPTION = "robot_description"
SOURCES = ("state", "joint_states")


@dataclass(frozen=True)
class MirrorParameters:
    """What the mirror shows, and from which model and topics."""

    model: str = parameter(
        "",
        "file of an MJCF or URDF; empty: the one that the simulator's spec refers to; "
        "robot_description: the URDF on that topic, for robots without our bridge",
    )
    period_s: float = parameter(
        0.1, "of joint_states: time between two frames of a recording [s]", above=0.0
    )
    map_rules: str = parameter("", "YAML file that says how names of simulator and model differ")
    strict: bool = parameter(False, "refuse a model when joints or bodies are left over")
    width: int = parameter(640, "of the picture [px]", low=32, high=4096, step=2)
    height: int = parameter(480, "of the picture [px]", low=32, high=4096, step=2)
    quality: str = parameter(
        AUTO, "how much a frame may cost; auto: what the machine can", choices=(AUTO, *QUALITIES)
    )
    cameras: str = parameter(
        AUTO_CAMERA, "auto, or the model's cameras, comma-separated, for pictures side by side"
    )
    dressed: bool = parameter(True, "false draws the model with its own lights and floor")
    overlay: bool = parameter(False, "write step, time, lag and error into the picture")
    viewer: bool = parameter(False, "open MuJoCo's window")
    late: str = parameter(
        HOLD,
        "what to show while states are late, for a simulator in real time: hold the last one, "
        "interpolate with delay_s, or predict with local physics",
        choices=COMPENSATIONS,
    )
    delay_s: float = parameter(0.15, "of interpolation [s]", low=0.0)
    source: str = parameter(
        "state", "a bridge's state, or the joint_states of any robot", choices=SOURCES
    )
    bases: str = parameter("", "of joint_states: tf frames that are bodies, comma-separated")
    check_links: bool = parameter(True, "compare link poses with the simulator's tf")
    link_limit_mm: float = parameter(1.0, "a link further off is reported [mm]", above=0.0)
    link_limit_deg: float = parameter(0.1, "a link further off is reported [deg]", above=0.0)

    def __post_init__(self) -> None:
        check(self)

    def view_settings(self) -> ViewSettings:
        return ViewSettings(
            self.width,
            self.height,
            self.quality,
            tuple(name.strip() for name in self.cameras.split(",") if name.strip()),
            self.dressed,
            self.strict,
        )
