"""What is handed to the drawing thread, and what it answers."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from sim_bridge.errors import BridgeError
from sim_bridge.types import LinkPoses, SimState


@dataclass(frozen=True)
class StateArrived:
    """``published_ns`` is wall-clock time, ``arrived_s`` of ``time.monotonic``."""

    state: SimState
    published_ns: int
    arrived_s: float = field(default_factory=time.monotonic)


@dataclass(frozen=True)
class CommandArrived:
    """Position targets on their way to the simulator, ``positions (n,)``."""

    names: tuple[str, ...]
    positions: np.ndarray
    published_ns: int


@dataclass(frozen=True)
class LinksArrived:
    """The simulator's own link poses at one simulation time."""

    time_s: float
    links: LinkPoses
    published_ns: int


@dataclass(frozen=True)
class WatcherJoined:
    """Another viewer subscribed to the pictures."""


@dataclass(frozen=True)
class ModelFound:
    """``source`` identifies the simulator run: when it changes, counting starts over."""

    path: Path
    control_period_s: float
    source: str = ""


@dataclass(frozen=True)
class ModelMissing:
    """Why there is no model."""

    reason: str


@dataclass(frozen=True)
class RecordingResult:
    frames: int
    files: list[str]
    summary: dict[str, Any]


Reply = Callable[["RecordingResult | BridgeError | None"], None]


@dataclass(frozen=True)
class StartRecording:
    """Answered with None once the model is loaded; every later step becomes a frame."""

    directory: str
    reply: Reply
    deadline: float


@dataclass(frozen=True)
class StopRecording:
    """Answered with a RecordingResult once the step was drawn, at the latest at ``deadline``.

    Episode 0 takes no further step: answered once those that have arrived are drawn.
    """

    episode: int
    step: int
    reply: Reply
    deadline: float
