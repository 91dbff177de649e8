"""The folder that holds a chunk policy of ours: ``spec.json``, ``statistics.json`` and a model.

``spec.json`` says which parts of an observation the network takes, in which order, and what
its outputs mean; ``statistics.json`` holds the normalisation, so that it travels with the
weights. The model file is named in the spec; see ``checkpoint_backends`` for its kinds.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from policy_node.policy import HOLD_FITS
from sim_bridge.errors import InvalidRequest
from sim_bridge.types import Observation, SimSpec

FORMAT = "twinstep-chunk-policy"
VERSION = 1
SPEC_FILE = "spec.json"
STATISTICS_FILE = "statistics.json"


class CheckpointError(InvalidRequest):
    """A checkpoint that cannot be used, or an observation that it cannot take."""


@dataclass(frozen=True)
class Feature:
    """One part of the network's input: an observation array, or one joint's value.

    ``kind`` is ``array``, ``joint_position`` or ``joint_velocity``; ``size`` is its length.
    """

    kind: str
    name: str
    size: int = 1

    def read(self, observation: Observation) -> np.ndarray:
        """``(size,)``; CheckpointError when the observation lacks it."""
        if self.kind == "array":
            return self._array(observation)
        if self.name not in observation.joint_names:
            known = ", ".join(observation.joint_names) or "none"
            raise CheckpointError(f"the policy needs joint {self.name!r}; observed: {known}")
        index = observation.joint_names.index(self.name)
        if self.kind == "joint_position":
            return observation.joint_positions[index : index + 1]
        return observation.joint_velocities[index : index + 1]

    def _array(self, observation: Observation) -> np.ndarray:
        if self.name not in observation.arrays:
            known = ", ".join(observation.arrays) or "none"
            raise CheckpointError(f"the policy needs array {self.name!r}; observed: {known}")
        value = np.ravel(observation.arrays[self.name])
        if value.size != self.size:
            raise CheckpointError(
                f"the policy needs {self.size} values in array {self.name!r}; "
                f"observed: {value.size}"
            )
        return value


@dataclass(frozen=True)
class HoldBelow:
    """A command whose part ``actions`` is shorter than ``norm`` is meant as "stay".

    Delta-controlled tasks often treat an exact zero apart from a small value, and a network
    never gives an exact zero.
    """

    actions: tuple[str, ...] = ()
    norm: float = 0.0


@dataclass(frozen=True)
class ChunkPolicySpec:
    """What ``spec.json`` says. ``horizon`` is in steps of ``dt_s``."""

    model: str
    task: str
    description: str
    inputs: tuple[Feature, ...]
    action_names: tuple[str, ...]
    action_low: tuple[float, ...]
    action_high: tuple[float, ...]
    horizon: int
    dt_s: float
    hold_below: HoldBelow = HoldBelow()
    network: dict[str, Any] = field(default_factory=dict)

    @property
    def state_size(self) -> int:
        return sum(feature.size for feature in self.inputs)

    def with_model(self, model: str) -> ChunkPolicySpec:
        return replace(self, model=model)

    def check_task(self, task: SimSpec) -> None:
        """CheckpointError, with both sides, when actions or inputs are not those of ``task``."""
        if sorted(self.action_names) != sorted(task.action.names):
            raise CheckpointError(
                f"the policy's actions are {', '.join(self.action_names)}; "
                f"those of {task.task}: {', '.join(task.action.names)}; {HOLD_FITS}"
            )
        arrays = {a.name: int(np.prod(a.shape)) for a in task.observations}
        joints = {joint.name: 1 for joint in task.joints}
        for feature in self.inputs:
            offered = arrays if feature.kind == "array" else joints
            if offered.get(feature.name) != feature.size:
                raise CheckpointError(
                    f"the policy needs {feature.kind} {feature.name!r} of size {feature.size}; "
                    f"{task.task} has: {', '.join(f'{n} ({s})' for n, s in offered.items())}"
                )

    def state(self, observation: Observation) -> np.ndarray:
        """The network's raw input ``(S,)`` float32."""
        return np.concatenate([f.read(observation) for f in self.inputs]).astype(np.float32)

    def finish(self, actions: np.ndarray) -> np.ndarray:
        """Raw actions ``(..., A)`` clipped to their bounds and held where they say so."""
        actions = np.clip(actions.astype(np.float64), self.action_low, self.action_high)
        if self.hold_below.actions:
            index = [self.action_names.index(name) for name in self.hold_below.actions]
            still = np.linalg.norm(actions[..., index], axis=-1) < self.hold_below.norm
            actions[..., index] *= ~still[..., None]
        return actions

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        content = {"format": FORMAT, "version": VERSION, **asdict(self)}
        (folder / SPEC_FILE).write_text(json.dumps(content, indent=2) + "\n")

    @classmethod
    def load(cls, folder: Path) -> ChunkPolicySpec:
        """CheckpointError when the folder has no spec that this version can read."""
        content = _read_json(folder / SPEC_FILE)
        found = (content.pop("format", None), content.pop("version", None))
        if found != (FORMAT, VERSION):
            raise CheckpointError(
                f"{folder / SPEC_FILE} is {found[0]!r} version {found[1]}; "
                f"valid: {FORMAT!r} version {VERSION}"
            )
        try:
            hold = content.pop("hold_below")
            content["inputs"] = tuple(Feature(**item) for item in content["inputs"])
            for key in ("action_names", "action_low", "action_high"):
                content[key] = tuple(content[key])
            return cls(hold_below=HoldBelow(tuple(hold["actions"]), hold["norm"]), **content)
        except (KeyError, TypeError) as error:
            raise CheckpointError(f"{folder / SPEC_FILE} is incomplete or wrong: {error}") from None


@dataclass(frozen=True)
class Statistics:
    """Means and standard deviations: states ``(S,)``, actions ``(A,)``."""

    state_mean: np.ndarray
    state_std: np.ndarray
    action_mean: np.ndarray
    action_std: np.ndarray

    def normalise(self, states: np.ndarray) -> np.ndarray:
        return ((states - self.state_mean) / self.state_std).astype(np.float32)

    def denormalise(self, actions: np.ndarray) -> np.ndarray:
        return actions * self.action_std + self.action_mean

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        content = {name: np.asarray(value).tolist() for name, value in vars(self).items()}
        (folder / STATISTICS_FILE).write_text(json.dumps(content, indent=2) + "\n")

    @classmethod
    def load(cls, folder: Path, spec: ChunkPolicySpec) -> Statistics:
        """CheckpointError when they are missing or of the wrong size."""
        content = _read_json(folder / STATISTICS_FILE)
        try:
            statistics = cls(**{name: np.array(value) for name, value in content.items()})
        except TypeError as error:
            raise CheckpointError(f"{folder / STATISTICS_FILE}: {error}") from None
        sizes = (statistics.state_mean.size, statistics.action_mean.size)
        if sizes != (spec.state_size, len(spec.action_names)):
            raise CheckpointError(
                f"{folder / STATISTICS_FILE} is for {sizes[0]} inputs and {sizes[1]} actions; "
                f"the spec has {spec.state_size} and {len(spec.action_names)}"
            )
        return statistics


def _read_json(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        raise CheckpointError(f"no {path.name} in {path.parent}") from None
    except json.JSONDecodeError as error:
        raise CheckpointError(f"{path} is not JSON: {error}") from None
