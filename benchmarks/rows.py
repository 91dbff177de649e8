"""One measured figure beside its peers and its budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

import numpy as np


@dataclass(frozen=True)
class Row:
    """``peers`` maps a name to its p50 and p99; ``budget`` bounds ``ours_p50`` (see ``limit``)."""

    name: str
    unit: str
    ours_p50: float
    ours_p99: float
    peers: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    budget: float | None = None
    ok: bool = True

    def as_json(self) -> dict:
        return asdict(self)

    def ratios(self) -> dict[str, float]:
        """Ours over each peer's p50; below 1 is faster."""
        return {name: self.ours_p50 / p["p50"] for name, p in self.peers.items() if p["p50"]}


def percentiles(samples: Sequence[float]) -> dict[str, float]:
    return {"p50": float(np.percentile(samples, 50)), "p99": float(np.percentile(samples, 99))}


def row(
    name: str,
    unit: str,
    samples: Sequence[float],
    peers: Mapping[str, Sequence[float]] | None = None,
    budget: float | None = None,
) -> Row:
    """From raw samples; ok when the median is within the budget."""
    ours = percentiles(samples)
    return Row(
        name,
        unit,
        ours["p50"],
        ours["p99"],
        {peer: percentiles(values) for peer, values in (peers or {}).items()},
        budget,
        budget is None or ours["p50"] <= budget,
    )
