"""Parameters of the bridge node, validated once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sim_bridge.bridge.real_time.core import HOLD, ON_STALE
from sim_bridge.settings.options import json_object
from sim_bridge.settings.parameters import check, parameter

LOCK_STEP, REAL_TIME = "lock_step", "real_time"
MODES = (LOCK_STEP, REAL_TIME)


@dataclass(frozen=True)
class BridgeParameters:
    """What the bridge hosts, and how."""

    simulator: str = parameter(
        "gymnasium",
        "what hosts the task: a shipped simulator (mujoco, sapien, isaac_lab, isaac_sim, "
        "synthetic), one of an installed package, or python:MODULE:FUNCTION",
    )
    task: str = parameter(
        "", "the simulator's name for the task, or its file; empty: the simulator's default"
    )
    task_options: str = parameter("", "options of the task as a JSON object")
    lease_s: float = parameter(10.0, "how long a silent client keeps control [s]", above=0.0)
    mode: str = parameter(
        LOCK_STEP,
        "lock_step: clients step; real_time: the wall clock does, with targets from joint_command",
        choices=MODES,
    )
    command_timeout_s: float = parameter(
        0.5, "real time: age at which a command is stale [s]", above=0.0
    )
    on_stale: str = parameter(
        HOLD,
        "real time: hold the target of a stale command, or stop where the joints are",
        choices=ON_STALE,
    )
    image_width: int = parameter(640, "width of all images [px]", low=16, high=4096)
    image_height: int = parameter(480, "height of all images [px]", low=16, high=4096)
    camera_rate_hz: float = parameter(
        30.0, "pictures of each camera per second of simulation time; 0: none", low=0.0
    )
    jpeg_quality: int = parameter(90, "of compressed images", low=1, high=100)

    def __post_init__(self) -> None:
        check(self)
        self.task_kwargs()

    def task_kwargs(self) -> dict[str, Any]:
        """``task_options`` parsed."""
        return json_object(self.task_options, "parameter task_options")


@dataclass(frozen=True)
class CameraParameters:
    """Of one camera, as ``camera.<name>.rate_hz``."""

    rate_hz: float = parameter(30.0, "the same for one camera; by default camera_rate_hz", low=0.0)


def camera_prefix(topic: str) -> str:
    """Of the parameters of the camera with this name in topics."""
    return f"camera.{topic}."
