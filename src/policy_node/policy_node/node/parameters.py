"""Parameters of the policy node and of the rollout node, validated once."""

from __future__ import annotations

import math
from dataclasses import dataclass

from policy_node.execution.settings import ExecutionSettings
from policy_node.node.inference_worker import WorkerSettings
from policy_node.policies.registry import check_address
from policy_node.rollout.steady_policy import Steadiness
from sim_bridge.errors import InvalidRequest

# The core logs with Python's logging; this is how ROS 2's console looks.
LOG_FORMAT = "[%(levelname)s] [%(created)f] [%(name)s]: %(message)s"


@dataclass(frozen=True)
class PolicyParameters:
    """``policy`` is an address (see ``policies/registry.py``). ``batch_window_s`` is how long an
    inference waits for other clients to join, for policies that can batch. A request that waited
    ``max_wait_s`` for its turn is answered BUSY."""

    policy: str = "expert"
    max_queue: int = 64
    max_per_client: int = 4
    batch_window_s: float = 0.02
    max_wait_s: float = 15.0

    def __post_init__(self) -> None:
        check_address(self.policy)
        for name in ("max_queue", "max_per_client"):
            if getattr(self, name) < 1:
                raise InvalidRequest(f"parameter {name} is {getattr(self, name)}; valid: 1 or more")
        if not 0 <= self.batch_window_s <= 1:
            raise InvalidRequest(
                f"parameter batch_window_s is {self.batch_window_s}; valid: 0 to 1 s"
            )

        if not self.max_wait_s > 0:
            raise InvalidRequest(
                f"parameter max_wait_s is {self.max_wait_s}; valid: a positive time [s]"
            )

    def worker_settings(self) -> WorkerSettings:
        return WorkerSettings(
            self.max_queue, self.max_per_client, self.batch_window_s, self.max_wait_s
        )


@dataclass(frozen=True)
class RolloutParameters(ExecutionSettings):
    """Chunk execution, and:

    ``cameras`` (comma-separated) are drawn by the bridge for the policy, as JPEG or raw. A call
    waits at most ``step_timeout_s`` for the bridge and ``inference_timeout_s`` for the policy.
    A silent or busy policy is asked again for ``patience_s``; then, or when it answers nonsense,
    the robot holds for a step, ``max_holds`` times in a row at most.
    """

    cameras: str = ""
    jpeg: bool = False
    step_timeout_s: float = 30.0
    inference_timeout_s: float = 30.0
    patience_s: float = 20.0
    max_holds: int = 50

    def __post_init__(self) -> None:
        try:
            super().__post_init__()
        except ValueError as error:
            raise InvalidRequest(f"parameter: {error}") from None
        if self.max_holds < 0:
            raise InvalidRequest(f"parameter max_holds is {self.max_holds}; valid: 0 or more")
        for name in ("step_timeout_s", "inference_timeout_s", "patience_s"):
            if not 0 < getattr(self, name) < math.inf:
                raise InvalidRequest(
                    f"parameter {name} is {getattr(self, name)}; valid: a positive time [s]"
                )

    def camera_names(self) -> list[str]:
        return [name.strip() for name in self.cameras.split(",") if name.strip()]

    def steadiness(self) -> Steadiness:
        return Steadiness(self.patience_s, self.max_holds)
