"""How an action that is planned twice is decided: the four aggregators of LeRobot.

Names and weights are those of LeRobot's asynchronous inference (``AGGREGATE_FUNCTIONS``).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from sim_bridge.errors import unknown

Aggregator = Callable[[np.ndarray, np.ndarray], np.ndarray]

AGGREGATORS: dict[str, Aggregator] = {
    "weighted_average": lambda old, new: 0.3 * old + 0.7 * new,
    "latest_only": lambda old, new: new,
    "average": lambda old, new: 0.5 * old + 0.5 * new,
    "conservative": lambda old, new: 0.7 * old + 0.3 * new,
}


def aggregator(name: str) -> Aggregator:
    """NotFound lists the valid names."""
    if name not in AGGREGATORS:
        raise unknown("aggregator", name, AGGREGATORS)
    return AGGREGATORS[name]
