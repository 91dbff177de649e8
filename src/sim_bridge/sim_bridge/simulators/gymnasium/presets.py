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
    ``entry_point`` replaces the registered class, an empty ``control_mode`` is read from the
    actuators.
    """

    gym_id: str
    module: str
    instruction: str
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    entities: Mapping[str, str] = field(default_factory=dict)
    action_names: tuple[str, ...] = ()
    action_units: tuple[str, ...] = ()
    control_mode: str = ""
    model_uri: str = ""
    entry_point: str = ""


_SO101: dict[str, Any] = dict(
    module="lerobot_env_so101",
    entities={"base": "so101"},
    action_names=("dx", "dy", "dz", "gripper"),
    # One unit of translation is the action_scale below.
    action_units=("0.025 m", "0.025 m", "0.025 m", "1"),
    control_mode="ee_delta",
    model_uri="package://lerobot_env_so101/assets/pick_scene.xml",
)

_ALOHA_JOINTS = ("waist", "shoulder", "elbow", "forearm_roll", "wrist_angle", "wrist_rotate")
ALOHA_ACTION_NAMES = tuple(
    f"vx300s_{side}/{joint}" for side in ("left", "right") for joint in (*_ALOHA_JOINTS, "gripper")
)
_ALOHA: dict[str, Any] = dict(
    module="gym_aloha",
    entry_point="sim_bridge.simulators.gymnasium.aloha_env:AlohaStateEnv",
    action_names=ALOHA_ACTION_NAMES,
    control_mode="custom",
    # A gripper goes from 0, closed, to 1, open.
    action_units=(("rad",) * len(_ALOHA_JOINTS) + ("1",)) * 2,
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
    "AlohaTransferCube-v0": TaskPreset(
        gym_id="gym_aloha/AlohaTransferCube-v0",
        instruction="pick up the cube with the right arm and hand it to the left arm",
        model_uri="package://gym_aloha/assets/bimanual_viperx_transfer_cube.xml",
        **_ALOHA,
    ),
    "AlohaInsertion-v0": TaskPreset(
        gym_id="gym_aloha/AlohaInsertion-v0",
        instruction="pick up the peg and the socket and insert the peg into the socket",
        model_uri="package://gym_aloha/assets/bimanual_viperx_insertion.xml",
        **_ALOHA,
    ),
}


def preset_for(task: str) -> TaskPreset:
    """The preset named ``task`` or for the Gymnasium id ``task``; an empty one for other ids and
    for ``MODULE:ID``."""
    for name, preset in PRESETS.items():
        if task in (name, preset.gym_id):
            return preset
    module, _, gym_id = task.rpartition(":")
    return TaskPreset(gym_id=gym_id, module=module, instruction="")
