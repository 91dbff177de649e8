"""The inference worker as the servers see it: futures, one client for each connection."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from typing import Any, Protocol

from policy_node.node.inference_worker import Inference, InferenceWorker
from policy_node.node.sessions import PolicySessions
from sim_bridge.errors import BridgeError
from sim_bridge.types import Observation


class Backend(Protocol):
    """Calls may come from any thread and do not block; futures raise ``BridgeError``."""

    def infer(self, client_id: str, observation: Observation) -> Future[Inference]: ...

    def reset(self, client_id: str, seed: int | None, instruction: str) -> Future[None]: ...

    def forget(self, client_id: str) -> None: ...


class WorkerBackend:
    """``Backend`` over the node's own worker: other clients and batching included."""

    def __init__(self, worker: InferenceWorker, sessions: PolicySessions) -> None:
        self._worker = worker
        self._sessions = sessions

    def infer(self, client_id: str, observation: Observation) -> Future[Inference]:
        return _future(lambda done: self._worker.infer(client_id, observation, done))

    def reset(self, client_id: str, seed: int | None, instruction: str) -> Future[None]:
        return _future(lambda done: self._worker.reset(client_id, seed, instruction, done))

    def forget(self, client_id: str) -> None:
        _future(
            lambda done: self._worker.call(
                client_id, lambda: self._sessions.forget(client_id), done
            )
        )


def describe(error: Exception, timeout_s: float) -> str:
    """One line for a client: kind and message, without a traceback."""
    if isinstance(error, asyncio.TimeoutError):
        return f"TimedOut: no answer within {timeout_s:g} s"
    return f"{type(error).__name__}: {error}"


def _future(submit) -> Future[Any]:
    """What ``submit`` hands to its ``done``; refusals (Busy, Canceled) too."""
    future: Future[Any] = Future()

    def done(outcome: Any) -> None:
        if future.set_running_or_notify_cancel():
            if isinstance(outcome, BaseException):
                future.set_exception(outcome)
            else:
                future.set_result(outcome)

    try:
        submit(done)
    except BridgeError as error:
        done(error)
    return future
