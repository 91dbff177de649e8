"""Task options of the ``isaac_sim`` simulator, validated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from sim_bridge.errors import InvalidRequest

ENGINES = ("physx", "newton")


@dataclass(frozen=True)
class CameraOptions:
    """A camera at ``position`` [m] looking along its own -z (y up): ``orientation`` xyzw in the
    world, vertical field of view ``fovy_deg``. ``path`` wraps a camera prim of the stage instead.
    ``rate_hz`` 0 draws for every state that someone asks a picture of."""

    position: tuple[float, ...] = (0.8, 0.0, 0.5)
    orientation: tuple[float, ...] = (0.3799282, 0.3799282, 0.5963678, 0.5963678)
    fovy_deg: float = 45.0
    rate_hz: float = 0.0
    path: str = ""

    def __post_init__(self) -> None:
        if len(self.position) != 3 or len(self.orientation) != 4:
            raise InvalidRequest(
                f"camera position {self.position} and orientation {self.orientation}; "
                "valid: three and four numbers"
            )
        if not 0 < self.fovy_deg < 180 or self.rate_hz < 0:
            raise InvalidRequest(
                f"camera fovy_deg {self.fovy_deg}, rate_hz {self.rate_hz}; "
                "valid: 0 to 180, 0 or more"
            )


@dataclass(frozen=True)
class IsaacSimOptions:
    """``physics`` physx or newton on ``device`` (cpu, cuda or cuda:N).

    ``stiffness`` and ``damping`` override the drives' gains where positive ([N m/rad, N m s/rad]
    or [N/m, N s/m]); ``joint_noise`` [rad or m] and ``body_noise_m`` (horizontal) are half widths
    of a seeded deviation at reset; ``entities`` renames root links; ``headless`` off opens a
    window.
    """

    physics: str = "physx"
    device: str = "cuda:0"
    physics_step_s: float = 0.005
    control_period_s: float = 0.02
    fix_base: bool = True
    stiffness: float = 0.0
    damping: float = 0.0
    joint_noise: float = 0.0
    body_noise_m: float = 0.0
    instruction: str = ""
    headless: bool = True
    entities: Mapping[str, str] = field(default_factory=dict)
    cameras: Mapping[str, CameraOptions] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.physics not in ENGINES:
            raise InvalidRequest(f"physics is {self.physics!r}; valid: {', '.join(ENGINES)}")
        kind, _, index = self.device.partition(":")
        if kind not in ("cpu", "cuda") or (index and not (kind == "cuda" and index.isdigit())):
            raise InvalidRequest(f"device is {self.device!r}; valid: cpu, cuda, cuda:N")
        for name in ("stiffness", "damping", "joint_noise", "body_noise_m"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise InvalidRequest(f"{name} is {getattr(self, name)}; valid: 0 or more")


def read_options(kwargs: Mapping[str, Any]) -> IsaacSimOptions:
    """InvalidRequest names an unknown option and lists the valid ones."""
    values = dict(_known(kwargs, IsaacSimOptions, "task option"))
    if "cameras" in values:
        values["cameras"] = {
            name: CameraOptions(**_known(camera, CameraOptions, f"option of camera {name!r}"))
            for name, camera in values["cameras"].items()
        }
    return IsaacSimOptions(**values)


def _known(kwargs: Mapping[str, Any], cls: type, what: str) -> Mapping[str, Any]:
    known = tuple(f.name for f in fields(cls))
    for name in kwargs:
        if name not in known:
            raise InvalidRequest(f"{what} {name!r}; valid: {', '.join(known)}")
    return kwargs
