"""A bridge as an ``Environment``."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sim_bridge.client.bridge_client import BridgeClient
from sim_bridge.types import StepReply


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
