"""What the committed policy sees and does: the SO-101 pick-and-place task."""

from __future__ import annotations

from policy_node.policies.checkpoint.format import ChunkPolicySpec, Feature, HoldBelow

TASK = "SO101PickPlace-v0"
HORIZON = 8

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
    # The teacher stands still or moves by at least its goal tolerance, 4 mm = 0.16 units.
    hold_below=HoldBelow(("dx", "dy", "dz"), 0.08),
)
