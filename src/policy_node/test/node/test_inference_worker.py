import threading
import time
from collections import defaultdict

import numpy as np
import pytest

from policy_node.node.inference_worker import InferenceWorker, WorkerSettings, check_chunk
from policy_node.node.sessions import PolicySessions
from policy_node.policy import PolicySpec
from sim_bridge.errors import Busy, Canceled, NotFound, OperationFailed
from sim_bridge.processes.testing import wait_until

TIMEOUT_S = 30.0


class Source:
    """Policies that take ``seconds`` or wait at a gate, and log what happens to them."""

    def __init__(self, max_batch=1, seconds=0.0, chunk=None):
        self.spec = PolicySpec("test", "for tests", ("a", "b"), max_batch=max_batch)
        self.seconds = seconds
        self.chunk = np.zeros((3, 2)) if chunk is None else chunk
        self.batches = []
        self.events = []
        self.gate = threading.Event()
        self.gate.set()
        self.threads = set()
        self.closed = []

    def for_client(self, client_id):
        return (BatchClient if self.spec.max_batch > 1 else Client)(self, client_id)

    def close(self):
        self.closed.append("source")


class Client:
    def __init__(self, source, client_id):
        self.source, self.client_id, self.spec = source, client_id, source.spec

    def infer(self, observation):
        self.source.threads.add(threading.current_thread().name)
        self.source.events.append((self.client_id, observation.step))
        self.source.gate.wait(TIMEOUT_S)
        self.source.batches.append([observation])
        time.sleep(self.source.seconds)
        if isinstance(self.source.chunk, Exception):
            raise self.source.chunk
        return self.source.chunk

    def reset(self, seed=None, instruction=""):
        self.source.events.append((self.client_id, "reset", seed, instruction))

    def close(self):
        self.source.closed.append(self.client_id)


class BatchClient(Client):
    def infer_batch(self, observations):
        self.source.gate.wait(TIMEOUT_S)
        self.source.batches.append(observations)
        time.sleep(self.source.seconds)
        return [np.full((3, 2), o.step) for o in observations]


class Harness:
    def __init__(self, source, **settings):
        self.source = source
        self.opened = []
        self.worker = InferenceWorker(
            PolicySessions(self.open, "served"), WorkerSettings(**settings)
        )
        self.futures = defaultdict(list)

    def open(self, address):
        self.opened.append(address)
        if address == "missing":
            raise NotFound("no policy 'missing'")
        return self.source

    def infer(self, client, observation, address=""):
        self.futures[client].append(self.worker.infer(client, observation, address))

    def reset(self, client, seed=None, instruction=""):
        self.futures[client].append(self.worker.reset(client, seed, instruction))

    def wait(self, client, count=1):
        """The outcome of a client's request: an inference, or the error."""
        future = self.futures[client][count - 1]
        return future.exception(TIMEOUT_S) or future.result()


@pytest.fixture
def harness():
    made = []

    def make(source, **settings):
        made.append(Harness(source, **settings))
        made[-1].worker.start()
        return made[-1]

    yield make
    for each in made:
        each.source.gate.set()
        each.worker.close()


def test_inference_runs_in_the_worker_and_reports_its_times(harness, arm_observation):
    h = harness(Source(seconds=0.02))
    h.infer("a", arm_observation())
    outcome = h.wait("a")
    assert outcome.actions.shape == (3, 2) and outcome.spec.kind == "test"
    assert outcome.inference_time_s >= 0.02 and 0 <= outcome.queue_time_s < 20
    assert h.source.threads == {"inference"}


def test_each_client_has_its_own_policy_and_resets_keep_their_place(harness, arm_observation):
    h = harness(Source())
    for client, seed in (("a", 1), ("b", 2)):
        h.reset(client, seed, f"task of {client}")
        h.infer(client, arm_observation(step=0))
        h.reset(client)
        h.infer(client, arm_observation(step=5))
    h.wait("a", 4), h.wait("b", 4)
    for client, seed in (("a", 1), ("b", 2)):
        mine = [event[1:] for event in h.source.events if event[0] == client]
        instruction = f"task of {client}"
        assert mine == [
            ("reset", seed, instruction), (0,), ("reset", None, instruction), (5,)
        ]  # fmt: skip
    assert h.opened == ["served"]


def test_overload_is_refused_at_once_and_served_again_later(harness, arm_observation):
    h = harness(Source(), max_queue=6, max_per_client=4)
    h.source.gate.clear()
    h.infer("a", arm_observation(step=0))
    wait_until(lambda: h.source.events, TIMEOUT_S, "the first inference to start")
    for step in range(1, 5):
        h.infer("a", arm_observation(step=step))
    with pytest.raises(Busy, match="4 of them from 'a'; valid: less than 6 in all and 4 of one"):
        h.worker.infer("a", arm_observation(step=5)).result(0)
    h.infer("b", arm_observation())
    h.infer("c", arm_observation())
    with pytest.raises(Busy, match="6 requests wait"):
        h.worker.infer("d", arm_observation()).result(0)
    h.source.gate.set()
    assert h.wait("a", 5).actions.shape == (3, 2)
    h.infer("d", arm_observation())
    assert h.wait("d").actions.shape == (3, 2)


def test_who_waits_too_long_behind_another_is_answered_busy(harness, arm_observation):
    """As behind a client whose model server is gone."""
    h = harness(Source(), max_wait_s=0.2)
    h.source.gate.clear()
    h.infer("stuck", arm_observation())
    wait_until(lambda: h.source.events, TIMEOUT_S, "the first inference to start")
    h.infer("other", arm_observation())
    h.reset("other", 0)
    assert isinstance(h.wait("other", 2), Busy)
    assert "was busy with other requests for" in str(h.wait("other"))
    h.source.gate.set()
    assert h.wait("stuck").actions.shape == (3, 2)
    h.infer("other", arm_observation())
    assert h.wait("other", 3).actions.shape == (3, 2)


def test_clients_take_turns(harness, arm_observation):
    """A client that queues a lot does not hold up one that asks once."""
    h = harness(Source(), max_per_client=8)
    h.source.gate.clear()
    for step in range(6):
        h.infer("greedy", arm_observation(step=step))
    wait_until(lambda: len(h.source.events) >= 2, TIMEOUT_S, "the first inference to start")
    h.infer("modest", arm_observation())
    h.source.gate.set()
    h.wait("greedy", 6)
    order = [e[0] for e in h.source.events if len(e) == 2]
    assert order.index("modest") <= 2


def test_waiting_requests_are_batched_across_clients(harness, arm_observation):
    h = harness(Source(max_batch=8))
    h.source.gate.clear()
    h.infer("a", arm_observation(step=1))
    wait_until(lambda: h.source.events, TIMEOUT_S, "the first inference to start")
    for step, client in enumerate("abcd", start=10):
        h.infer(client, arm_observation(step=step))
    h.source.gate.set()
    for step, client in enumerate("abcd", start=10):
        outcome = h.wait(client, 2 if client == "a" else 1)
        assert (outcome.actions == step).all()
    assert [len(batch) for batch in h.source.batches] == [1, 4]


def test_batch_size_is_bounded_and_one_client_is_never_delayed(harness, arm_observation):
    h = harness(Source(max_batch=2, seconds=0.001), batch_window_s=30.0)
    started = time.monotonic()
    h.infer("a", arm_observation())
    h.wait("a")
    assert time.monotonic() - started < 15.0  # nobody else is active: no window to wait for
    h.source.gate.clear()
    for client in "bcde":
        h.infer(client, arm_observation())
    h.source.gate.set()
    for client in "bcde":
        h.wait(client)
    assert max(len(batch) for batch in h.source.batches) == 2


def test_four_clients_of_a_batchable_policy_cost_little_more_than_one(harness, arm_observation):
    rounds, seconds = 10, 0.05

    def run(h, client):
        for step in range(rounds):
            chunk = h.worker.infer(client, arm_observation(step=step)).result(TIMEOUT_S)
            assert chunk.actions.shape == (3, 2)

    def timed(clients):
        h = harness(Source(max_batch=8, seconds=seconds))
        threads = [threading.Thread(target=run, args=(h, c)) for c in clients]
        started = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return time.monotonic() - started

    alone = timed("a")
    assert timed("abcd") < 1.7 * alone


@pytest.mark.parametrize(
    ("chunk", "message"),
    [
        (np.full((2, 2), np.nan), "'test' answered with nan in row 0, column 0"),
        (np.zeros((2, 3)), r"shape \(2, 3\); valid: \(H, 2\)"),
        (np.zeros(2), r"shape \(2,\)"),
        (np.zeros((0, 2)), "with H at least 1"),
        ([["x", "y"]], "did not answer with numbers"),
        (None, "answered"),
    ],
)
def test_nonsense_from_a_policy_is_a_typed_error(chunk, message):
    with pytest.raises(OperationFailed, match=message):
        check_chunk(chunk, PolicySpec("test", "", ("a", "b")))


def test_failures_reach_their_client_and_the_worker_lives_on(harness, arm_observation):
    h = harness(Source(chunk=RuntimeError("boom")))
    h.infer("a", arm_observation())
    assert str(h.wait("a")) == "boom"
    h.infer("a", arm_observation(), address="missing")
    assert isinstance(h.wait("a", 2), NotFound)
    h.infer("a", arm_observation(), address="missing")
    h.wait("a", 3)
    assert h.opened.count("missing") == 2  # tried again: it may be there by now
    h.source.chunk = np.ones((1, 2))
    h.infer("a", arm_observation())
    assert (h.wait("a", 4).actions == 1).all()


def test_an_answer_that_cannot_be_delivered_does_not_stop_the_worker(harness, arm_observation):
    h = harness(Source())

    def gone(future):
        raise RuntimeError("the client left")

    h.worker.infer("a", arm_observation()).add_done_callback(gone)
    h.infer("b", arm_observation())
    assert h.wait("b").actions.shape == (3, 2)


def test_who_gave_up_does_not_stop_the_worker(harness, arm_observation):
    """As a client of an outward server whose request timed out."""
    h = harness(Source())
    h.source.gate.clear()
    h.infer("a", arm_observation())
    h.infer("a", arm_observation())
    assert all(future.cancel() for future in h.futures["a"])
    h.source.gate.set()
    h.infer("b", arm_observation())
    assert h.wait("b").actions.shape == (3, 2)


def test_closing_refuses_what_waits_and_closes_policies(harness, arm_observation):
    h = harness(Source())
    h.source.gate.clear()
    h.infer("a", arm_observation())
    wait_until(lambda: h.source.events, TIMEOUT_S, "the inference to start")
    h.infer("b", arm_observation())
    h.worker.close(timeout_s=0.1)
    assert isinstance(h.wait("b"), Canceled)
    assert h.source.closed == ["a", "source"]
    h.infer("c", arm_observation())
    assert isinstance(h.wait("c"), Canceled)


def test_clients_that_stay_away_are_forgotten(arm_observation):
    source = Source()
    sessions = PolicySessions(lambda address: source, "served")
    for index in range(100):
        sessions.policy(f"client-{index}")
    assert source.closed == [f"client-{index}" for index in range(36)]
    sessions.close()
    assert len(source.closed) == 101
