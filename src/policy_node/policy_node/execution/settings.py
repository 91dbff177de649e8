"""Which strategy, with which options: read once, validated, then built."""

from __future__ import annotations

from dataclasses import dataclass

from policy_node.execution.aggregators import AGGREGATORS
from policy_node.execution.asynchronous import Asynchronous
from policy_node.execution.inference import BackgroundInference, DelayedInference, Inference
from policy_node.execution.open_loop import OpenLoop
from policy_node.execution.realtime import RealTimeChunking
from policy_node.execution.strategy import Strategy
from policy_node.execution.temporal_ensemble import TemporalEnsemble
from policy_node.policy import Policy
from sim_bridge.parameters import check, parameter

STRATEGIES = ("open_loop", "asynchronous", "temporal_ensemble", "real_time_chunking")


@dataclass(frozen=True)
class ExecutionSettings:
    """Options of all strategies; each reads its own. InvalidRequest for one that is not valid."""

    strategy: str = parameter("open_loop", "how chunks become actions", choices=STRATEGIES)
    execute: int = parameter(0, "open loop: actions used of each chunk; 0: all", low=0)
    threshold: float = parameter(
        0.5, "asynchronous: ask when this part of a chunk is left", low=0.0, high=1.0
    )
    aggregate: str = parameter(
        "weighted_average", "asynchronous: what overlapping chunks become", choices=[*AGGREGATORS]
    )
    ensemble_coefficient: float = parameter(
        0.01, "temporal ensemble: how fast old predictions lose weight"
    )
    execution_horizon: int = parameter(4, "real-time chunking: steps between inferences", low=1)
    delay_steps: int = parameter(
        -1,
        "asynchronous and real-time chunking: simulated inference time [steps], which makes them "
        "repeatable; -1: infer in a thread, as long as it takes",
        low=-1,
    )

    def __post_init__(self) -> None:
        check(self)


def make_strategy(settings: ExecutionSettings, policy: Policy) -> Strategy:
    """The strategy that ``settings`` names, around one client's policy."""
    s = settings
    if s.strategy == "open_loop":
        return OpenLoop(policy, s.execute)
    if s.strategy == "asynchronous":
        return Asynchronous(policy, s.threshold, s.aggregate, _inference(s))
    if s.strategy == "temporal_ensemble":
        return TemporalEnsemble(policy, s.ensemble_coefficient)
    return RealTimeChunking(policy, s.execution_horizon, max(1, s.delay_steps), _inference(s))


def _inference(settings: ExecutionSettings) -> Inference:
    if settings.delay_steps < 0:
        return BackgroundInference()
    return DelayedInference(settings.delay_steps)
