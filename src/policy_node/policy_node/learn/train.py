"""Train the chunk policy on demonstrations (needs torch).

ros2 run policy_node train_policy --demonstrations demos.npz --output run/
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

try:
    import torch
except ModuleNotFoundError:
    from policy_node.learn import NEEDS_TORCH

    raise SystemExit(NEEDS_TORCH) from None

from policy_node.learn.dataset import Chunks, Demonstrations, chunks, split
from policy_node.learn.so101 import SPEC
from policy_node.policies.checkpoint.format import Statistics
from policy_node.policies.checkpoint.network import ChunkTransformer, ModelSettings
from sim_bridge.progress import Stage

WEIGHTS_FILE = "weights.pt"
HISTORY_FILE = "history.json"
_FADE_STEPS = 8.0


@dataclass(frozen=True)
class TrainingSettings:
    steps: int = 10000
    batch: int = 256
    learning_rate: float = 1e-3
    warmup_steps: int = 200
    weight_decay: float = 1e-3
    average_decay: float = 0.995
    given_fraction: float = 0.4
    max_given: int = 4
    validation_fraction: float = 0.05
    validate_every: int = 500
    seed: int = 0
    threads: int = 1


def statistics(data: Chunks) -> Statistics:
    """Means and deviations; a value that hardly varies keeps its scale."""
    first = data.actions[:, 0]
    return Statistics(
        data.states.mean(0),
        np.maximum(data.states.std(0), 1e-3),
        first.mean(0),
        np.maximum(first.std(0), 1e-3),
    )


class Trainer:
    """Minimises the mean absolute error of the chunk, with a moving average of the weights."""

    def __init__(
        self, training: Chunks, validation: Chunks, stats: Statistics, settings: TrainingSettings
    ) -> None:
        torch.manual_seed(settings.seed)
        torch.set_num_threads(settings.threads)
        self.settings = settings
        model = ModelSettings(SPEC.state_size, len(SPEC.action_names), SPEC.horizon)
        self.model = ChunkTransformer(model)
        self.average = torch.optim.swa_utils.AveragedModel(
            self.model,
            multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(settings.average_decay),
        )
        self._training = _tensors(training, stats)
        self._validation = _tensors(validation, stats)
        self._generator = torch.Generator().manual_seed(settings.seed)
        self._optimizer = torch.optim.AdamW(
            self.model.parameters(), settings.learning_rate, weight_decay=settings.weight_decay
        )
        self._schedule = torch.optim.lr_scheduler.LambdaLR(self._optimizer, self._rate)
        self.history: list[dict[str, float]] = []

    def run(self, on_validation: Callable[[], None] = lambda: None) -> None:
        recent: list[float] = []
        started = time.monotonic()
        with Stage("training", "step", self.settings.steps) as stage:
            for step in range(1, self.settings.steps + 1):
                recent.append(self._step())
                stage.advance()
                if step % self.settings.validate_every and step != self.settings.steps:
                    continue
                entry = {
                    "step": step,
                    "training_loss": float(np.mean(recent)),
                    "validation_loss": self._validate(),
                    "seconds": round(time.monotonic() - started, 1),
                }
                recent.clear()
                self.history.append(entry)
                on_validation()
                stage.reach(
                    step,
                    train=f"{entry['training_loss']:.4f}",
                    valid=f"{entry['validation_loss']:.4f}",
                )

    def _rate(self, step: int) -> float:
        warm = min(1.0, (step + 1) / self.settings.warmup_steps)
        return warm * 0.5 * (1 + math.cos(math.pi * min(1.0, step / self.settings.steps)))

    def _step(self) -> float:
        states, actions, valid = self._training
        index = torch.randint(len(states), (self.settings.batch,), generator=self._generator)
        frozen = self._draw_frozen()
        predicted = self.model(states[index], actions[index], frozen)
        loss = _loss(predicted, actions[index], valid[index] * (1 - frozen))
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self._optimizer.step()
        self._schedule.step()
        self.average.update_parameters(self.model)
        return float(loss)

    @torch.no_grad()
    def _validate(self) -> float:
        states, actions, valid = self._validation
        predicted = self.average(states, actions, torch.zeros_like(valid))
        return float(_loss(predicted, actions, valid))

    def _draw_frozen(self) -> torch.Tensor:
        """``(B, H)``: which actions are given, the first few in a part of the batch."""
        s = self.settings
        count = torch.randint(1, s.max_given + 1, (s.batch, 1), generator=self._generator)
        some = torch.rand(s.batch, 1, generator=self._generator) < s.given_fraction
        return ((torch.arange(SPEC.horizon) < count) & some).float()


def _tensors(data: Chunks, stats: Statistics) -> tuple[torch.Tensor, ...]:
    actions = (data.actions - stats.action_mean) / stats.action_std
    arrays = (stats.normalise(data.states), actions.astype(np.float32), data.valid)
    return tuple(torch.from_numpy(a) for a in arrays)


def _loss(predicted: torch.Tensor, actions: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
    """Mean absolute error; later actions count less, for they are executed less often."""
    weight = valid * torch.exp(-torch.arange(valid.shape[1]) / _FADE_STEPS)
    error = (predicted - actions).abs().mean(-1)
    return (error * weight).sum() / weight.sum()


def train(demonstrations: list[Path], output: Path, settings: TrainingSettings) -> None:
    """Write the weights, the statistics and the history of the losses to ``output``."""
    data = [Demonstrations.load(path) for path in demonstrations]
    episodes = [e for d in data for e in d.episodes]
    training, validation = split(episodes, settings.validation_fraction, settings.seed)
    pairs = chunks(training, SPEC.horizon)
    stats = statistics(pairs)
    trainer = Trainer(pairs, chunks(validation, SPEC.horizon), stats, settings)
    output.mkdir(parents=True, exist_ok=True)
    stats.save(output)
    description = {
        "settings": asdict(settings),
        "network": trainer.model.settings.to_dict(),
        "parameters": sum(p.numel() for p in trainer.model.parameters()),
        "data": [d.settings for d in data],
        "episodes": {"training": len(training), "validation": len(validation)},
        "steps_of_data": len(pairs.states),
    }
    trainer.run(lambda: save(trainer, description, output))


def save(trainer: Trainer, description: dict[str, Any], output: Path) -> None:
    """Write the averaged weights and the history so far: a stopped training is usable."""
    torch.save(trainer.average.module.state_dict(), output / WEIGHTS_FILE)
    content = {**description, "curve": trainer.history}
    (output / HISTORY_FILE).write_text(json.dumps(content, indent=2) + "\n")


def main(args: list[str] | None = None) -> int:
    defaults = TrainingSettings()
    parser = argparse.ArgumentParser(prog="train_policy", description=__doc__.split("\n\n")[0])
    parser.add_argument("--demonstrations", type=Path, nargs="+", required=True, metavar="FILE")
    parser.add_argument("--output", type=Path, required=True, help="folder for the weights")
    parser.add_argument("--steps", type=int, default=defaults.steps)
    parser.add_argument("--batch", type=int, default=defaults.batch)
    parser.add_argument("--seed", type=int, default=defaults.seed)
    parser.add_argument("--threads", type=int, default=defaults.threads, help="CPU threads")
    chosen = parser.parse_args(args)
    settings = TrainingSettings(
        steps=chosen.steps, batch=chosen.batch, seed=chosen.seed, threads=chosen.threads
    )
    train(chosen.demonstrations, chosen.output, settings)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
