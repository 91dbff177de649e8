"""Write the training report of a checkpoint: data, settings, loss curve, success table.

ros2 run policy_node report_policy --run run/ --evaluations open_loop/ ... --output checkpoint/
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from policy_node.evaluate.store import SUMMARY_FILE

REPORT_FILE = "REPORT.md"
CURVE_FILE = "curve.png"


def write_report(run: Path, evaluations: Sequence[Path], output: Path) -> None:
    """``run`` is the output of training, ``evaluations`` output folders of ``evaluate``."""
    history = json.loads((run / "history.json").read_text())
    summaries = [json.loads((folder / SUMMARY_FILE).read_text()) for folder in evaluations]
    plot_curve(history["curve"], output / CURVE_FILE)
    parts = [_data(history), _training(history), f"![loss]({CURVE_FILE})", _table(summaries)]
    (output / REPORT_FILE).write_text("# Training report\n\n" + "\n\n".join(parts) + "\n")


def plot_curve(curve: Sequence[dict[str, float]], path: Path) -> None:
    """Training and validation loss over steps, as PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4), layout="constrained")
    steps = [entry["step"] for entry in curve]
    for name in ("training_loss", "validation_loss"):
        axes.plot(steps, [entry[name] for entry in curve], label=name.replace("_", " "))
    axes.set(xlabel="training step", ylabel="mean absolute error (normalised)", yscale="log")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=100)
    pyplot.close(figure)


def _data(history: dict[str, Any]) -> str:
    lines = ["## Data", ""]
    for data in history["data"]:
        first, last = data["seeds"]
        by = data["disturbed_by"]
        if isinstance(by, dict):
            by = "bursts of noise (" + ", ".join(f"{k} {v}" for k, v in by.items()) + ")"
        lines.append(
            f"- task {data['task']}, {data['attempted']} episodes attempted with seeds {first} to "
            f"{last}; {100 * (1 - data['undisturbed_fraction']):.0f} % of them disturbed by {by}"
        )
    count = history["episodes"]
    lines.append(
        f"- successful and used: {count['training']} for training ({history['steps_of_data']} "
        f"steps), {count['validation']} for validation"
    )
    return "\n".join(lines)


def _training(history: dict[str, Any]) -> str:
    last = history["curve"][-1]
    return "\n".join([
        "## Training",
        "",
        f"- network: {history['parameters']} parameters; "
        + ", ".join(f"{k} {v}" for k, v in history["network"].items()),
        "- settings: " + ", ".join(f"{k} {v}" for k, v in history["settings"].items()),
        f"- after {last['step']} steps and {last['seconds'] / 60:.0f} min: training loss "
        f"{last['training_loss']:.4f}, validation loss {last['validation_loss']:.4f}",
    ])  # fmt: skip


def _table(summaries: Sequence[dict[str, Any]]) -> str:
    lines = [
        "## Success",
        "",
        "Seeds that no training episode had; 95 % Wilson intervals.",
        "",
        "| execution | seeds | success | interval | mean steps |",
        "|---|---|---|---|---|",
    ]
    for s in summaries:
        settings, (low, high) = s["settings"], s["success_rate_interval_95"]
        first = settings["seed"]
        lines.append(
            f"| {_execution(settings['execution'])} | {first} to {first + s['episodes'] - 1} | "
            f"{s['successes']} of {s['episodes']} ({s['success_rate']:.0%}) | "
            f"{low:.0%} to {high:.0%} | {s['mean_steps']:.0f} |"
        )
    return "\n".join(lines)


def _execution(execution: dict[str, Any]) -> str:
    """The strategy with the options that it reads."""
    name = execution["strategy"]
    read = {
        "open_loop": ("execute",),
        "asynchronous": ("threshold", "aggregate", "delay_steps"),
        "temporal_ensemble": ("ensemble_coefficient",),
        "real_time_chunking": ("execution_horizon", "delay_steps"),
    }[name]
    options = ", ".join(f"{key} {execution[key]}" for key in read)
    return f"{name} ({options})"


def main(args: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="report_policy", description=__doc__.split("\n\n")[0])
    parser.add_argument("--run", type=Path, required=True, help="output folder of train_policy")
    parser.add_argument("--evaluations", type=Path, nargs="+", required=True, metavar="DIR")
    parser.add_argument("--output", type=Path, required=True, help="checkpoint folder")
    chosen = parser.parse_args(args)
    write_report(chosen.run, chosen.evaluations, chosen.output)
    print(chosen.output / REPORT_FILE)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
