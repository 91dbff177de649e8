"""Task options of the ``isaac_sim`` simulator, validated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sim_bridge.errors import InvalidRequest
from sim_bridge.settings.parameters import parameter
from sim_bridge.simulators.isaac_lab.runtime import ENGINES, check_device


@dataclass(frozen=True)
class CameraOptions:
    """A camera at ``position`` [m] looking along its own -z (y up), or a camera of the stage:
    ``orientation`` is xyzw in the world."""

    position: tuple[float, ...] = (0.8, 0.0, 0.5)
    orientation: tuple[float, ...] = (0.3799282, 0.3799282, 0.5963678, 0.5963678)
    fovy_deg: float = parameter(45.0, "vertical field of view [deg]", above=0.0, high=179.0)
    rate_hz: float = parameter(
        0.0, "0 draws for every state that someone asks a picture of", low=0.0
    )
    path: str = parameter("", "of a camera prim of the stage to use instead")

    def __post_init__(self) -> None:
        if len(self.position) != 3 or len(self.orientation) != 4:
            raise InvalidRequest(
                f"camera position {self.position} and orientation {self.orientation}; "
                "valid: three and four numbers"
            )


@dataclass(frozen=True)
class IsaacSimOptions:
    """``entities`` renames root links; ``device`` is cpu, cuda or cuda:N."""

    physics: str = parameter("physx", "engine", choices=ENGINES)
    device: str = "cuda:0"
    physics_step_s: float = parameter(0.005, "of the engine [s]", above=0.0)
    control_period_s: float = parameter(0.02, "a multiple of physics_step_s [s]", above=0.0)
    fix_base: bool = parameter(True, "robots stand fixed")
    stiffness: float = parameter(
        0.0, "overrides the drives' gain where positive [N m/rad or N/m]", low=0.0
    )
    damping: float = parameter(0.0, "likewise [N m s/rad or N s/m]", low=0.0)
    joint_noise: float = parameter(
        0.0, "half width of a seeded deviation at reset [rad or m]", low=0.0
    )
    body_noise_m: float = parameter(
        0.0, "the same of free bodies, in the horizontal plane [m]", low=0.0
    )
    instruction: str = parameter("", "of the task, in words")
    headless: bool = parameter(True, "off opens a window")
    entities: Mapping[str, str] = field(default_factory=dict)
    cameras: Mapping[str, CameraOptions] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_device(self.device, ("cpu", "cuda"))
