"""The inference worker as the servers see it, one client for each connection."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from typing import Protocol

from policy_node.node.inference_worker import InferenceResult
from sim_bridge.types import Observation


class Backend(Protocol):
    """What ``InferenceWorker`` offers; calls come from any thread and do not block."""

    def infer(self, client_id: str, observation: Observation) -> Future[InferenceResult]: ...

    def reset(self, client_id: str, seed: int | None, instruction: str) -> Future[None]: ...

    def forget(self, client_id: str) -> Future[None]: ...


def describe(error: Exception, timeout_s: float) -> str:
    """One line for a client: kind and message, without a traceback."""
    if isinstance(error, asyncio.TimeoutError):
        return f"TimedOut: no answer within {timeout_s:g} s"
    return f"{type(error).__name__}: {error}"
