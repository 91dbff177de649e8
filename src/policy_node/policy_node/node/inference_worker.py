"""One thread that owns the policies; requests wait in bounded queues, one for each client."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from policy_node.node.sessions import PolicySessions
from policy_node.policy import BatchPolicy, Policy, PolicySpec
from sim_bridge.errors import BridgeError, Busy, Canceled, OperationFailed
from sim_bridge.settings.parameters import parameter
from sim_bridge.types import Observation

_ACTIVE_S = 1.0  # a client that asked within this time is expected to ask again
_OVERDUE_CHECK_S = 0.2


@dataclass(frozen=True)
class WorkerSettings:
    """``max_queue`` requests may wait in all, ``max_per_client`` of one client, each of them for
    ``max_wait_s`` (a model server that is gone may hold up its own clients for longer); an
    inference waits at most ``batch_window_s`` for other active clients to join in, and never
    longer than half of what the last one took."""

    max_queue: int = parameter(64, "requests that may wait", low=1)
    max_per_client: int = parameter(4, "requests of one client that may wait", low=1)
    batch_window_s: float = parameter(
        0.02,
        "how long an inference waits for other clients to join, if the policy can batch [s]",
        low=0.0,
        high=1.0,
    )
    max_wait_s: float = parameter(
        15.0, "a request that waited so long for its turn is answered BUSY [s]", above=0.0
    )


@dataclass(frozen=True)
class InferenceResult:
    """``actions (H, A)`` in the order of ``spec.action_names``; times in seconds."""

    actions: np.ndarray
    spec: PolicySpec
    queue_time_s: float
    inference_time_s: float


@dataclass
class _Job:
    client_id: str
    run: Callable[[], Any] | None  # None: an inference
    address: str = ""
    observation: Observation = Observation()
    queued: float = 0.0
    future: Future[Any] = field(default_factory=Future)

    def tell(self, outcome: Any) -> None:
        """Set the result, unless the client has canceled the future."""
        if not self.future.set_running_or_notify_cancel():
            return
        if isinstance(outcome, Exception):
            self.future.set_exception(outcome)
        else:
            self.future.set_result(outcome)


class InferenceWorker:
    """Serves one request at a time, or several in one inference when the policy can.

    Clients take turns. ``infer`` and the like may be called from any thread, never block, and
    return a future that is fulfilled in a thread of the worker's. It raises what the policy
    raises, Busy at once instead of letting a queue grow, Busy after too long a wait for a turn,
    and Canceled when the worker ends.
    """

    def __init__(
        self, sessions: PolicySessions, settings: WorkerSettings = WorkerSettings()
    ) -> None:
        self._sessions = sessions
        self._settings = settings
        self._lock = threading.Lock()
        # An entry for each change that the worker's thread may wait for; three times as quick to
        # wake a thread with as a condition, and on the way of every request.
        self._changes: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._queues: OrderedDict[str, deque[_Job]] = OrderedDict()
        self._waiting = 0
        self._last_asked: dict[str, float] = {}
        self._last_inference_s = 0.0
        self._closed = False
        self._ended = threading.Event()
        self._threads = (
            threading.Thread(target=self._work, name="inference", daemon=True),
            threading.Thread(target=self._refuse_overdue, name="overdue requests", daemon=True),
        )

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def infer(
        self, client_id: str, observation: Observation, address: str = ""
    ) -> Future[InferenceResult]:
        """``address`` chooses a policy other than the served one."""
        return self._put(_Job(client_id, None, address, observation))

    def reset(self, client_id: str, seed: int | None, instruction: str) -> Future[None]:
        """Start an episode of one client, in order with its other requests."""
        return self.call(client_id, lambda: self._sessions.reset(client_id, seed, instruction))

    def describe(self, client_id: str, address: str = "") -> Future[PolicySpec]:
        """What the policy is; loads it, in order with the client's other requests."""
        return self.call(client_id, lambda: self._sessions.source(address).spec)

    def forget(self, client_id: str) -> Future[None]:
        """Close a client's policies, in order with its other requests."""
        return self.call(client_id, lambda: self._sessions.forget(client_id))

    def call(self, client_id: str, run: Callable[[], Any]) -> Future[Any]:
        """Run something else in the worker's thread."""
        return self._put(_Job(client_id, run))

    def close(self, timeout_s: float = 1.0) -> None:
        """Refuse what waits and end the thread; an inference under way may be left behind."""
        with self._lock:
            self._closed = True
            left = [job for line in self._queues.values() for job in line]
            self._queues.clear()
        self._changes.put(None)
        self._ended.set()
        for job in left:
            job.tell(Canceled("the policy node is shutting down"))
        self._sessions.close()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(timeout_s)

    def _put(self, job: _Job) -> Future[Any]:
        with self._lock:
            refusal = self._refusal(job.client_id)
            if refusal is None:
                job.queued = time.perf_counter()
                self._queues.setdefault(job.client_id, deque()).append(job)
                self._waiting += 1
                if job.run is None:
                    self._last_asked[job.client_id] = job.queued
        if refusal is None:
            self._changes.put(None)
        else:
            job.tell(refusal)
        return job.future

    def _refusal(self, client_id: str) -> BridgeError | None:
        if self._closed:
            return Canceled("the policy node is shutting down")
        limit, mine = self._settings, self._queues.get(client_id, ())
        if self._waiting < limit.max_queue and len(mine) < limit.max_per_client:
            return None
        return Busy(
            f"{self._waiting} requests wait for the policy, {len(mine)} of them from "
            f"{client_id!r}; valid: less than {limit.max_queue} in all and "
            f"{limit.max_per_client} of one client"
        )

    def _work(self) -> None:
        while not self._closed:
            self._changes.get()
            while (job := self._next()) is not None:
                self._serve(job)

    def _next(self) -> _Job | None:
        with self._lock:
            return self._pop(next(iter(self._queues))) if self._queues else None

    def _pop(self, client_id: str) -> _Job:
        """The client's oldest request; the client goes to the back of the line."""
        line = self._queues.pop(client_id)
        job = line.popleft()
        if line:
            self._queues[client_id] = line
        self._waiting -= 1
        return job

    def _refuse_overdue(self) -> None:
        while not self._ended.wait(_OVERDUE_CHECK_S):
            with self._lock:
                overdue = self._take_overdue()
            for job in overdue:
                waited_s = time.perf_counter() - job.queued
                job.tell(Busy(f"the policy was busy with other requests for {waited_s:.1f} s"))

    def _take_overdue(self) -> list[_Job]:
        """Clients' requests that waited too long, out of their queues."""
        oldest = time.perf_counter() - self._settings.max_wait_s
        overdue = []
        for client_id, line in list(self._queues.items()):
            while client_id and line and line[0].queued < oldest:
                overdue.append(line.popleft())
            if not line:
                del self._queues[client_id]
        self._waiting -= len(overdue)
        return overdue

    def _serve(self, job: _Job) -> None:
        try:
            if job.run is not None:
                job.tell(job.run())
                return
            policy = self._sessions.policy(job.client_id, job.address)
        except Exception as error:
            job.tell(error)
            return
        limit = policy.spec.max_batch
        can_batch = limit > 1 and isinstance(policy, BatchPolicy)
        batch = [job, *(self._gather(job, limit) if can_batch else ())]
        self._infer(policy, batch)

    def _gather(self, first: _Job, limit: int) -> list[_Job]:
        """Requests of other clients for the same policy, as many as come within the window."""
        found: list[_Job] = []
        window_s = min(self._settings.batch_window_s, self._last_inference_s / 2)
        deadline = time.perf_counter() + window_s
        while not self._closed:
            with self._lock:
                for client_id in list(self._queues):
                    head = self._queues[client_id][0]
                    fits = head.run is None and head.address == first.address
                    if fits and len(found) + 1 < limit and client_id != first.client_id:
                        found.append(self._pop(client_id))
                enough = len(found) + 1 >= min(limit, self._active_clients())
            left = deadline - time.perf_counter()
            if enough or left <= 0:
                break
            with contextlib.suppress(queue.Empty):
                self._changes.get(timeout=left)
        return found

    def _active_clients(self) -> int:
        oldest = time.perf_counter() - _ACTIVE_S
        self._last_asked = {c: at for c, at in self._last_asked.items() if at > oldest}
        return len(self._last_asked)

    def _infer(self, policy: Policy, batch: list[_Job]) -> None:
        started = time.perf_counter()
        try:
            if len(batch) == 1 or not isinstance(policy, BatchPolicy):
                chunks = [policy.infer(job.observation) for job in batch]
            else:
                chunks = policy.infer_batch([job.observation for job in batch])
                if len(chunks) != len(batch):
                    raise OperationFailed(
                        f"policy {policy.spec.kind!r} answered with {len(chunks)} chunks for "
                        f"{len(batch)} observations"
                    )
        except Exception as error:
            for job in batch:
                job.tell(error)
            return
        seconds = self._last_inference_s = time.perf_counter() - started
        for job, chunk in zip(batch, chunks, strict=True):
            job.tell(_outcome(chunk, policy.spec, started - job.queued, seconds))


def _outcome(
    chunk: Any, spec: PolicySpec, queue_time_s: float, inference_time_s: float
) -> InferenceResult | OperationFailed:
    try:
        return InferenceResult(check_chunk(chunk, spec), spec, queue_time_s, inference_time_s)
    except OperationFailed as error:
        return error


def check_chunk(chunk: Any, spec: PolicySpec) -> np.ndarray:
    """``chunk`` as float64 ``(H, A)``; OperationFailed when a policy answered anything else."""
    try:
        actions = np.asarray(chunk, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise OperationFailed(
            f"policy {spec.kind!r} did not answer with numbers: {error}"
        ) from None
    width = len(spec.action_names)
    if actions.ndim != 2 or not len(actions) or (width and actions.shape[1] != width):
        expected = f"(H, {width or 'A'})"
        raise OperationFailed(
            f"policy {spec.kind!r} answered with a chunk of shape {actions.shape}; "
            f"valid: {expected} with H at least 1"
        )
    if not np.isfinite(actions).all():
        row, column = np.argwhere(~np.isfinite(actions))[0]
        raise OperationFailed(
            f"policy {spec.kind!r} answered with {actions[row, column]} "
            f"in row {row}, column {column}"
        )
    return actions
