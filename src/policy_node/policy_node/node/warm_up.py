"""A made-up observation, so that the first real one finds the policy warm."""

from __future__ import annotations

import numpy as np

from policy_node.policy import PolicySource
from sim_bridge.types import ArraySpec, Observation, SimSpec

_CLIENT = "warm-up"
_ROUNDS = 2


def warm_up(source: PolicySource, spec: SimSpec) -> None:
    """Infer a few times as a client of its own; raises what the policy raises."""
    policy = source.for_client(_CLIENT)
    try:
        policy.reset(seed=0, instruction=spec.instruction)
        for step in range(_ROUNDS):
            policy.infer(blank_observation(spec, source.spec.image_keys, step))
    finally:
        policy.close()


def blank_observation(spec: SimSpec, image_keys: tuple[str, ...], step: int = 0) -> Observation:
    """Joints and arrays as near to zero as their limits allow, images black."""
    joints = spec.joints
    sizes = {camera.name: (camera.height, camera.width, 3) for camera in spec.cameras}
    return Observation(
        step=step,
        joint_names=tuple(joint.name for joint in joints),
        joint_positions=np.array([np.clip(0.0, joint.lower, joint.upper) for joint in joints]),
        joint_velocities=np.zeros(len(joints)),
        images={key: np.zeros(sizes[key], np.uint8) for key in image_keys if key in sizes},
        arrays={array.name: _blank(array) for array in spec.observations},
        instruction=spec.instruction,
    )


def _blank(array: ArraySpec) -> np.ndarray:
    low, high = (b if b.size == 1 else b.reshape(array.shape) for b in (array.low, array.high))
    return np.clip(np.zeros(array.shape), low, high).astype(array.dtype)
