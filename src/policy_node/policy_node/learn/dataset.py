"""Demonstrations on disk, and the chunks that a policy is trained on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Episode:
    """``states (T, S)`` as the policy will see them and the teacher's ``actions (T, A)``.

    ``followed (T,)`` bool: the action was executed as it is, not disturbed.
    """

    seed: int
    states: np.ndarray
    actions: np.ndarray
    followed: np.ndarray


@dataclass(frozen=True)
class Demonstrations:
    """``settings`` says how the episodes were collected."""

    episodes: tuple[Episode, ...]
    settings: dict[str, Any]

    @property
    def steps(self) -> int:
        return sum(len(e.states) for e in self.episodes)

    def save(self, path: Path) -> None:
        np.savez_compressed(
            path,
            states=np.concatenate([e.states for e in self.episodes]).astype(np.float32),
            actions=np.concatenate([e.actions for e in self.episodes]).astype(np.float32),
            followed=np.concatenate([e.followed for e in self.episodes]),
            lengths=np.array([len(e.states) for e in self.episodes]),
            seeds=np.array([e.seed for e in self.episodes]),
            settings=json.dumps(self.settings),
        )

    @classmethod
    def load(cls, path: Path) -> Demonstrations:
        """ValueError when the file is not one that ``save`` wrote."""
        with np.load(path, allow_pickle=False) as data:
            try:
                ends = np.cumsum(data["lengths"])[:-1]
                parts = zip(
                    data["seeds"],
                    np.split(data["states"], ends),
                    np.split(data["actions"], ends),
                    np.split(data["followed"], ends),
                    strict=True,
                )
                episodes = tuple(Episode(int(seed), *rest) for seed, *rest in parts)
                return cls(episodes, json.loads(str(data["settings"])))
            except KeyError as error:
                raise ValueError(
                    f"{path} is not a demonstration file: {error} is missing"
                ) from None


@dataclass(frozen=True)
class Chunks:
    """Training pairs: ``states (N, S)``, ``actions (N, H, A)``, ``valid (N, H)`` float."""

    states: np.ndarray
    actions: np.ndarray
    valid: np.ndarray


def chunks(episodes: Sequence[Episode], horizon: int) -> Chunks:
    """One pair per step. Past the end of an episode the actions are invalid, and so are those
    that follow a disturbance: they answer to what the state could not tell."""
    states, actions, valid = [], [], []
    for episode in episodes:
        steps = len(episode.states)
        index = np.arange(steps)[:, None] + np.arange(horizon)
        inside = np.minimum(index, steps - 1)
        undisturbed = np.cumprod(episode.followed[inside], axis=1)
        undisturbed = np.column_stack([np.ones(steps), undisturbed[:, :-1]])
        states.append(episode.states)
        actions.append(episode.actions[inside])
        valid.append(undisturbed * (index < steps))
    return Chunks(
        np.concatenate(states).astype(np.float32),
        np.concatenate(actions).astype(np.float32),
        np.concatenate(valid).astype(np.float32),
    )


def split(
    episodes: Sequence[Episode], validation_fraction: float, seed: int
) -> tuple[list[Episode], list[Episode]]:
    """Training and validation episodes; whole episodes, so that no step leaks."""
    order = np.random.default_rng(seed).permutation(len(episodes))
    held_out = max(1, round(validation_fraction * len(episodes)))
    chosen = set(order[:held_out].tolist())
    training = [e for i, e in enumerate(episodes) if i not in chosen]
    return training, [episodes[i] for i in sorted(chosen)]
