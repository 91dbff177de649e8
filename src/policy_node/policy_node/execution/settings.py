"""Which strategy, with which options: read once, validated, then built."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from policy_node.execution.aggregators import AGGREGATORS
from policy_node.execution.inference import BackgroundInference, DelayedInference, InferenceRunner
from policy_node.execution.strategy import MakeStrategy, Strategy
from policy_node.policy import Policy
from sim_bridge.errors import InvalidRequest
from sim_bridge.settings import plugins
from sim_bridge.settings.options import json_object
from sim_bridge.settings.parameters import check, parameter

# Each is a ``MakeStrategy``; installed packages offer more (``twinstep.strategies``).
STRATEGIES = {
    "open_loop": "policy_node.execution.open_loop:make",
    "asynchronous": "policy_node.execution.asynchronous:make",
    "temporal_ensemble": "policy_node.execution.temporal_ensemble:make",
    "real_time_chunking": "policy_node.execution.realtime:make",
}


@dataclass(frozen=True)
class ExecutionSettings:
    """Options of all strategies; each reads its own.

    NotFound for an unknown strategy, InvalidRequest for a value that is not valid.
    """

    strategy: str = parameter(
        "open_loop",
        f"how chunks become actions: {', '.join(STRATEGIES)}, one of an installed package, or "
        f"{plugins.PYTHON_FORM}",
    )
    strategy_options: str = parameter(
        "", "a JSON object for a strategy of an installed package or of your own"
    )
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
        self.factory()
        if self.options() and self.strategy in STRATEGIES:
            raise InvalidRequest(
                f"strategy_options is {self.strategy_options!r}; strategy {self.strategy!r} has "
                "parameters of its own and takes none"
            )

    def factory(self) -> MakeStrategy:
        """What ``strategy`` names, imported."""
        return plugins.find("strategy", self.strategy, STRATEGIES, plugins.STRATEGIES)

    def options(self) -> dict[str, Any]:
        """``strategy_options`` parsed."""
        return json_object(self.strategy_options, "strategy_options")

    def inference(self) -> InferenceRunner:
        """How a strategy infers while the robot moves, as ``delay_steps`` has it."""
        if self.delay_steps < 0:
            return BackgroundInference()
        return DelayedInference(self.delay_steps)


def make_strategy(settings: ExecutionSettings, policy: Policy) -> Strategy:
    """The strategy that ``settings`` names, around one client's policy."""
    return settings.factory()(policy, settings)
