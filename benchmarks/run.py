"""Run the benchmarks, print a table with ratios, write the report and a plot.

python benchmarks/run.py [NAME ...]     all of them, or the named modules
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rows import Row

MODULES = (
    "steps",
    "idle",
    "replay_pace",
    "cameras",
    "mirror",
    "monitor_viewers",
    "policy_round_trip",
    "chunk_execution",
)
_REPORT = Path(__file__).with_name("report")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("modules", nargs="*", metavar="NAME", help=f"of: {', '.join(MODULES)}")
    chosen = parser.parse_args().modules or MODULES
    unknown = [name for name in chosen if name not in MODULES]
    if unknown:
        parser.error(f"unknown benchmark {unknown[0]!r}; valid: {', '.join(MODULES)}")
    # MuJoCo settles on a backend when it is imported, and takes one that needs a display.
    os.environ.setdefault("MUJOCO_GL", "egl")
    rows = []
    for name in chosen:
        rows += _measure(name)
        _write(rows)
    _print(rows)
    over = [row.name for row in rows if not row.ok]
    print(f"wrote {_REPORT / 'latest.json'} and latest.png beside it")
    print(f"over budget on this machine: {', '.join(over) or 'none'}")
    return 0


def _measure(name: str) -> list[Row]:
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        print(f"{name}: skipped, its peer {error.name} is not installed", file=sys.stderr)
        return []
    return module.measure()


def _print(rows: list[Row]) -> None:
    table = Table("figure", "ours p50", "p99", "budget", "peers p50 (ours / peer)", "")
    for row in rows:
        ratios = row.ratios()
        peers = ", ".join(
            f"{name} {peer['p50']:.3g} (x{ratios.get(name, 0):.2f})"
            for name, peer in row.peers.items()
        )
        budget = "" if row.budget is None else f"{row.budget:g}"
        ours = f"{row.ours_p50:.3g}", f"{row.ours_p99:.3g}"
        table.add_row(row.name, *ours, budget, peers, "ok" if row.ok else "OVER")
    Console(width=140).print(table)


def _write(rows: list[Row]) -> None:
    """Merge into latest.json, so that a partial run keeps the other figures."""
    _REPORT.mkdir(exist_ok=True)
    path = _REPORT / "latest.json"
    old = json.loads(path.read_text()) if path.exists() else []
    fresh = {row.name: row.as_json() for row in rows}
    merged = [r for r in old if r["name"] not in fresh] + list(fresh.values())
    path.write_text(json.dumps(merged, indent=2) + "\n")
    _plot(merged)


def _plot(rows: list[dict]) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    rows = [r for r in rows if r["peers"]]
    if not rows:
        return
    figure, axes = plt.subplots(len(rows), 1, figsize=(8, 1.9 * len(rows)), squeeze=False)
    for axis, r in zip(axes[:, 0], rows, strict=True):
        bars = {"twinstep": {"p50": r["ours_p50"], "p99": r["ours_p99"]}, **r["peers"]}
        positions = range(len(bars))
        axis.barh(positions, [b["p99"] for b in bars.values()], color="#d7dee8", label="p99")
        axis.barh(positions, [b["p50"] for b in bars.values()], color="#2a6fbb", label="p50")
        axis.set_yticks(positions, bars)
        axis.invert_yaxis()
        if r["budget"] is not None:
            axis.axvline(r["budget"], color="#c0392b", linestyle="--", label="budget")
        axis.set_title(f"{r['name']} [{r['unit']}]", loc="left", fontsize=10)
        axis.legend(fontsize=7, loc="lower right")
    figure.tight_layout()
    figure.savefig(_REPORT / "latest.png", dpi=110)


if __name__ == "__main__":
    sys.exit(main())
