"""The contract between the policy node and a policy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np

from sim_bridge.types import Observation, SimSpec

# For errors of policies that are made for certain tasks.
HOLD_FITS = "policy:=hold is for any task"


@dataclass(frozen=True)
class PolicySpec:
    """What a policy is and what it asks for.

    ``kind`` is how it was addressed (``expert``, ``replay``, ``openpi`` ...), ``description`` one
    line for people, ``action_names`` its outputs in order (empty: the task's own order),
    ``dt_s`` the time between two actions (0: the task's control period), ``image_keys`` the
    images it must be given, ``max_batch`` how many observations one inference may hold.
    """

    kind: str
    description: str
    action_names: tuple[str, ...] = ()
    horizon: int = 1
    dt_s: float = 0.0
    image_keys: tuple[str, ...] = ()
    max_batch: int = 1


class Policy(Protocol):
    """One client's policy; calls come from one thread."""

    @property
    def spec(self) -> PolicySpec: ...

    def infer(self, observation: Observation) -> np.ndarray:
        """A chunk of actions ``(H, A)`` for this observation; H may differ between calls."""

    def reset(self, seed: int | None = None, instruction: str = "") -> None:
        """Start a new episode."""

    def close(self) -> None: ...


@runtime_checkable
class BatchPolicy(Protocol):
    """A policy without memory that can answer several clients in one inference."""

    def infer_batch(self, observations: list[Observation]) -> list[np.ndarray]:
        """One chunk ``(H, A)`` for each observation, in order."""


class PolicySource(Protocol):
    """A loaded policy address: hands each client its own ``Policy`` on shared weights."""

    @property
    def spec(self) -> PolicySpec: ...

    def for_client(self, client_id: str) -> Policy: ...

    def close(self) -> None: ...


class OpenPolicy(Protocol):
    """What the name in an address stands for: ``open_source`` of a file here, or the entry point
    of an installed package (group ``twinstep.policies``)."""

    def __call__(self, target: Any, spec: SimSpec) -> PolicySource:
        """Load a policy for the task that ``spec`` describes.

        ``target`` is a ``ServerAddress`` for ``NAME://HOST:PORT?...``, the text behind the colon
        for ``NAME:TEXT`` (empty for ``NAME``), a ``Path`` for a checkpoint. Raises InvalidRequest
        or NotFound for a target that is wrong, OperationFailed for a server that does not answer,
        and FeatureUnsupported for a task that the policy cannot do.
        """
