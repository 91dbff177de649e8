"""Parameters of the policy node and of the rollout node, validated once."""

from __future__ import annotations

from dataclasses import dataclass

from policy_node.execution.settings import ExecutionSettings
from policy_node.node.inference_worker import WorkerSettings
from policy_node.policies.registry import DEFAULT_POLICY, VALID_FORMS, check_address
from policy_node.rollout.steady_policy import Steadiness
from sim_bridge.settings.parameters import check, parameter


@dataclass(frozen=True)
class PolicyParameters:
    """Which policy, and how much may wait for it."""

    policy: str = parameter(DEFAULT_POLICY, f"address of the policy: {'; '.join(VALID_FORMS)}")
    max_queue: int = parameter(64, "requests that may wait", low=1)
    max_per_client: int = parameter(4, "requests of one client that may wait", low=1)
    batch_window_s: float = parameter(
        0.02,
        "how long an inference waits for other clients to join, if the policy can batch [s]",
        low=0.0,
        high=1.0,
    )
    max_wait_s: float = parameter(
        15.0, "a request that waited so long for its turn is answered BUSY [s]", above=0.0
    )

    def __post_init__(self) -> None:
        check(self)
        check_address(self.policy)

    def worker_settings(self) -> WorkerSettings:
        return WorkerSettings(
            self.max_queue, self.max_per_client, self.batch_window_s, self.max_wait_s
        )


@dataclass(frozen=True)
class RolloutParameters(ExecutionSettings):
    """Chunk execution, and what the rollout node does when a peer is silent."""

    cameras: str = parameter("", "drawn instead of those that the policy asks for, by commas")
    jpeg: bool = parameter(False, "send their images compressed")
    step_timeout_s: float = parameter(30.0, "how long to wait for the bridge [s]", above=0.0)
    inference_timeout_s: float = parameter(30.0, "how long to wait for the policy [s]", above=0.0)
    patience_s: float = parameter(
        20.0,
        "how long a silent or busy policy is asked again [s]; then the robot holds for a step",
        above=0.0,
    )
    max_holds: int = parameter(50, "steps in a row that the robot may hold", low=0)
    give_up_s: float = parameter(
        60.0,
        "how long the policy may give no good answer before the goal fails [s]; calls, retries "
        "and holds are counted",
        above=0.0,
    )

    def camera_names(self) -> list[str]:
        return [name.strip() for name in self.cameras.split(",") if name.strip()]

    def steadiness(self) -> Steadiness:
        return Steadiness(self.patience_s, self.max_holds, self.give_up_s)
