"""Policies from checkpoints: folders of our own chunk policy, or LeRobot's."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from policy_node.policies.checkpoint.backends import load_network
from policy_node.policies.checkpoint.format import (
    SPEC_FILE,
    CheckpointError,
    ChunkPolicySpec,
    Statistics,
)
from policy_node.policy import PolicySource, PolicySpec
from sim_bridge.types import Observation, SimSpec

DEVICE_VARIABLE = "POLICY_DEVICE"
_TRAINED = "checkpoints/so101_pick_place"
_MAX_BATCH = 64


def open_source(path: Path, spec: SimSpec) -> PolicySource:
    """The checkpoint at ``path``, on the device that ``POLICY_DEVICE`` names (default: auto).

    CheckpointError when the task that ``spec`` describes is not one it can act in.
    """
    source = open_checkpoint(path, os.environ.get(DEVICE_VARIABLE, "auto"))
    if isinstance(source, ChunkPolicySource):
        source.chunk_spec.check_task(spec)
    return source


def open_trained(target: str, spec: SimSpec) -> PolicySource:
    """The checkpoint that comes with this package: in the source tree, or where it is installed."""
    path = Path(__file__).resolve().parents[3] / _TRAINED
    if not path.is_dir():
        from ament_index_python.packages import get_package_share_path

        path = get_package_share_path("policy_node") / _TRAINED
    return open_source(path, spec)


def open_checkpoint(path: str | Path, device: str = "auto") -> PolicySource:
    """The policy in a folder (or whose model file is ``path``).

    A folder with ``spec.json`` holds a chunk policy of ours; one with ``config.json``, or a
    ``pretrained_model`` folder in it, one of LeRobot's. CheckpointError says what is missing.
    """
    path = Path(path).expanduser()
    folder = path if path.is_dir() else path.parent
    if not path.exists():
        raise CheckpointError(f"no checkpoint at {path}")
    if (folder / SPEC_FILE).is_file():
        return ChunkPolicySource(folder, device, model=path.name if path.is_file() else "")
    for candidate in (folder, folder / "pretrained_model"):
        if (candidate / "config.json").is_file():
            from policy_node.policies.checkpoint.lerobot import LeRobotSource

            return LeRobotSource(candidate, device)
    raise CheckpointError(
        f"{folder} is not a checkpoint; valid: a folder with spec.json (chunk policy) or "
        "config.json (LeRobot pretrained_model)"
    )


class ChunkPolicySource:
    """Shared weights; the policies of all clients are one and the same, for they remember nothing.

    ``model`` picks another model file in the folder than the one that the spec names.
    """

    def __init__(self, folder: Path, device: str = "auto", model: str = "") -> None:
        self.chunk_spec = ChunkPolicySpec.load(folder)
        if model and model != SPEC_FILE:
            self.chunk_spec = self.chunk_spec.with_model(model)
        self._statistics = Statistics.load(folder, self.chunk_spec)
        self._network, self.device = load_network(folder, self.chunk_spec, device)
        self._policy = ChunkPolicy(self)

    @property
    def spec(self) -> PolicySpec:
        c = self.chunk_spec
        return PolicySpec(
            kind="checkpoint",
            description=f"{c.description} ({c.model} on {self.device})",
            action_names=c.action_names,
            horizon=c.horizon,
            dt_s=c.dt_s,
            max_batch=_MAX_BATCH,
        )

    def for_client(self, client_id: str) -> ChunkPolicy:
        return self._policy

    def close(self) -> None:
        pass

    def run(self, observations: list[Observation], given: list[np.ndarray]) -> np.ndarray:
        """Chunks ``(B, H, A)`` that continue the rows ``given[i] (d_i, A)``."""
        c = self.chunk_spec
        states = np.stack([c.state(o) for o in observations])
        prefix = np.zeros((len(states), c.horizon, len(c.action_names)), np.float32)
        frozen = np.zeros((len(states), c.horizon), np.float32)
        for row, actions in enumerate(given):
            count = min(len(actions), c.horizon)
            prefix[row, :count] = self._normalised_actions(actions[:count])
            frozen[row, :count] = 1.0
        output = self._network(self._statistics.normalise(states), prefix, frozen)
        if not np.all(np.isfinite(output)):
            raise CheckpointError(f"{c.model} returned a value that is not finite")
        return c.finish(self._statistics.denormalise(output))

    def _normalised_actions(self, actions: np.ndarray) -> np.ndarray:
        return (actions - self._statistics.action_mean) / self._statistics.action_std


class ChunkPolicy:
    """One chunk per observation; nothing is kept between two of them."""

    def __init__(self, source: ChunkPolicySource) -> None:
        self._source = source

    @property
    def spec(self) -> PolicySpec:
        return self._source.spec

    def infer(self, observation: Observation) -> np.ndarray:
        return self.infer_batch([observation])[0]

    def infer_batch(self, observations: list[Observation]) -> list[np.ndarray]:
        return list(self._source.run(observations, []))

    def infer_continuing(self, observation: Observation, given: np.ndarray) -> np.ndarray:
        """The chunk whose first rows are ``given (d, A)``."""
        chunk = self._source.run([observation], [given])[0]
        chunk[: len(given)] = given[: len(chunk)]
        return chunk

    def reset(self, seed: int | None = None, instruction: str = "") -> None:
        pass

    def close(self) -> None:
        pass
