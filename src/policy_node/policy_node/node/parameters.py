"""Parameters of the policy node and of the rollout node, validated once."""

from __future__ import annotations

from dataclasses import dataclass

from policy_node.execution.settings import ExecutionSettings
from policy_node.node.inference_worker import WorkerSettings
from policy_node.policies.registry import DEFAULT_POLICY, VALID_FORMS, check_address
from policy_node.rollout.steady_policy import Steadiness
from sim_bridge.settings.parameters import check, parameter


@dataclass(frozen=True)
class PolicyParameters(WorkerSettings):
    """Which policy, and how much may wait for it."""

    policy: str = parameter(DEFAULT_POLICY, f"address of the policy: {'; '.join(VALID_FORMS)}")

    def __post_init__(self) -> None:
        check(self)
        check_address(self.policy)


@dataclass(frozen=True)
class RolloutParameters(Steadiness, ExecutionSettings):
    """Chunk execution, and what the rollout node does when a peer is silent."""

    cameras: str = parameter("", "drawn instead of those that the policy asks for, by commas")
    jpeg: bool = parameter(False, "send their images compressed")
    step_timeout_s: float = parameter(30.0, "how long to wait for the bridge [s]", above=0.0)
    inference_timeout_s: float = parameter(30.0, "how long to wait for the policy [s]", above=0.0)

    def camera_names(self) -> list[str]:
        return [name.strip() for name in self.cameras.split(",") if name.strip()]
