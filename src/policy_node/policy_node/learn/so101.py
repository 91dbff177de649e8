"""What the committed policy sees and does: the SO-101 pick-and-place task."""

from __future__ import annotations

import numpy as np

from policy_node.policies.checkpoint_format import ChunkPolicySpec, Feature, HoldBelow

TASK = "SO101PickPlace-v0"
HORIZON = 16

# The jaw's own joint tells how far a grasp has come, which the task's arrays do not.
SPEC = ChunkPolicySpec(
    model="policy.onnx",
    task=TASK,
    description="transformer chunk policy for SO101PickPlace-v0, trained on demonstrations",
    inputs=(
        Feature("array", "agent_pos", 14),
        Feature("array", "environment_state", 6),
        Feature("joint_position", "so101/gripper"),
        Feature("joint_velocity", "so101/gripper"),
    ),
    action_names=("dx", "dy", "dz", "gripper"),
    action_low=(-1.0, -1.0, -1.0, 0.0),
    action_high=(1.0, 1.0, 1.0, 1.0),
    horizon=HORIZON,
    dt_s=0.1,
    execute=8,
    # The teacher stands still or moves by at least its goal tolerance, 4 mm = 0.16 units.
    hold_below=HoldBelow(("dx", "dy", "dz"), 0.08),
)

_JAW_COMMAND = 10  # in agent_pos, -1 closed to 1 open
_JAW_VELOCITY = 21
_STILL_RAD_S = 0.05


def is_waiting(states: np.ndarray, actions: np.ndarray) -> np.ndarray:
    """``(T,)`` bool: the steps of an episode in which nothing moves and nothing is asked to.

    The teacher waits a fixed number of steps for the jaws. Once they stand still, an
    observation does not tell how long it has waited, and a policy that learned these steps
    would wait for ever.
    """
    held = ~np.any(actions[:, :3], axis=1)
    commanded = np.isclose(states[:, _JAW_COMMAND], 2.0 * actions[:, 3] - 1.0, atol=1e-3)
    return held & commanded & (np.abs(states[:, _JAW_VELOCITY]) < _STILL_RAD_S)
