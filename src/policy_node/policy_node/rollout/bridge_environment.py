"""A bridge as an ``Environment``, with the pictures that a policy needs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from policy_node.policy import PolicySpec
from sim_bridge.client.bridge_client import BridgeClient
from sim_bridge.errors import unknown
from sim_bridge.types import SimSpec, StepReply


class BridgeEnvironment:
    """Has ``cameras`` drawn for every observation, raw or as JPEG."""

    def __init__(
        self, client: BridgeClient, cameras: Sequence[str] = (), jpeg: bool = False
    ) -> None:
        self._client = client
        self._cameras, self._jpeg = cameras, jpeg

    def reset(self, seed: int | None = None) -> StepReply:
        return self._client.reset(seed=seed, cameras=self._cameras, jpeg=self._jpeg)

    def step(self, actions: np.ndarray) -> StepReply:
        return self._client.step(actions, self._cameras, self._jpeg)


def policy_cameras(
    spec: SimSpec, policy: PolicySpec, instead: Sequence[str] = ()
) -> tuple[str, ...]:
    """The cameras to draw: those that the policy asks for, or ``instead`` of them.

    NotFound, listing the task's cameras, for one that it does not have.
    """
    cameras = [camera.name for camera in spec.cameras]
    for name in instead or policy.image_keys:
        if name not in cameras:
            raise unknown("camera" if instead else "camera that the policy needs:", name, cameras)
    return tuple(instead or policy.image_keys)
