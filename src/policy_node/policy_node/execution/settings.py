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

STRATEGIES = ("open_loop", "asynchronous", "temporal_ensemble", "real_time_chunking")


@dataclass(frozen=True)
class ExecutionSettings:
    """Options of all strategies; each reads its own.

    ``execute``: actions of a chunk that open loop executes (0: all). ``threshold`` and
    ``aggregate``: of asynchronous execution. ``ensemble_coefficient``: of temporal ensembling.
    ``execution_horizon``: steps between inferences of real-time chunking.
    ``delay_steps``: for asynchronous execution and real-time chunking, a simulated inference
    time in control steps, which makes them repeatable; -1: infer in a thread, as long as it takes.
    """

    strategy: str = "open_loop"
    execute: int = 0
    threshold: float = 0.5
    aggregate: str = "weighted_average"
    ensemble_coefficient: float = 0.01
    execution_horizon: int = 4
    delay_steps: int = -1

    def __post_init__(self) -> None:
        if self.strategy not in STRATEGIES:
            raise ValueError(f"unknown strategy {self.strategy!r}; valid: {', '.join(STRATEGIES)}")
        if self.aggregate not in AGGREGATORS:
            valid = ", ".join(AGGREGATORS)
            raise ValueError(f"unknown aggregator {self.aggregate!r}; valid: {valid}")
        _check("execute", self.execute, self.execute >= 0, "0 (all) or more")
        _check("threshold", self.threshold, 0.0 <= self.threshold <= 1.0, "0 to 1")
        _check(
            "execution_horizon", self.execution_horizon, self.execution_horizon >= 1, "1 or more"
        )
        _check("delay_steps", self.delay_steps, self.delay_steps >= -1, "-1 (real time) or more")


def _check(name: str, value: float, valid: bool, choices: str) -> None:
    if not valid:
        raise ValueError(f"{name} is {value}; valid: {choices}")


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
