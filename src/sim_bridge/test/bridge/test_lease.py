import pytest

from sim_bridge.bridge.lease import Lease
from sim_bridge.errors import InvalidRequest, LeaseHeld, SequenceGap


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def lease(clock):
    return Lease(10.0, clock)


def test_each_number_runs_once_and_a_repeat_gets_the_same_answer(lease):
    calls = []
    run = lambda: calls.append(1) or len(calls)  # noqa: E731
    assert lease.execute("a", 1, "step", run) == 1
    assert lease.execute("a", 1, "step", run) == 1
    assert lease.execute("a", 2, "step", run) == 2
    assert len(calls) == 2


@pytest.mark.parametrize("sequence", [0, 3, 7])
def test_a_gap_is_refused_and_names_the_valid_numbers(lease, sequence):
    lease.execute("a", 1, "step", lambda: None)
    with pytest.raises(SequenceGap, match="valid: 1 .* or 2"):
        lease.execute("a", sequence, "step", lambda: None)


def test_an_unknown_client_must_start_at_one(lease):
    with pytest.raises(SequenceGap, match="valid: 1 .*restarted"):
        lease.execute("a", 57, "step", lambda: None)


def test_a_refused_number_takes_no_control(lease):
    with pytest.raises(SequenceGap):
        lease.execute("a", 57, "step", lambda: None)
    lease.execute("b", 1, "step", lambda: None)


def test_a_number_is_not_answered_with_another_request(lease):
    lease.execute("a", 1, "reset", lambda: "reset answer")
    with pytest.raises(SequenceGap, match="was a reset, not a step"):
        lease.execute("a", 1, "step", lambda: None)


def test_a_refused_action_does_not_use_up_its_number(lease):
    def refuse():
        raise InvalidRequest("no")

    with pytest.raises(InvalidRequest):
        lease.execute("a", 1, "step", refuse)
    assert lease.execute("a", 1, "step", lambda: "yes") == "yes"
    with pytest.raises(InvalidRequest):
        lease.execute("a", 2, "step", refuse)
    assert lease.holder().client_id == "a"  # who had control keeps it


def test_a_refused_action_takes_no_control(lease):
    def refuse():
        raise InvalidRequest("no")

    with pytest.raises(InvalidRequest):
        lease.execute("a", 1, "step", refuse)
    lease.execute("b", 1, "step", lambda: None)


def test_a_second_client_waits_until_the_first_is_silent_for_the_lease(lease, clock):
    lease.execute("a", 1, "step", lambda: None)
    clock.now = 9.9
    with pytest.raises(LeaseHeld, match="'a' has control"):
        lease.execute("b", 1, "step", lambda: None)
    clock.now = 10.1
    lease.execute("b", 1, "step", lambda: None)
    with pytest.raises(LeaseHeld, match="'b' has control"):
        lease.execute("a", 2, "step", lambda: None)


def test_a_request_keeps_control_and_release_gives_it_back(lease, clock):
    lease.execute("a", 1, "step", lambda: None)
    clock.now = 9.0
    lease.execute("a", 2, "step", lambda: None)
    clock.now = 18.0
    assert lease.holder().client_id == "a"
    with pytest.raises(LeaseHeld):
        lease.release("b")
    lease.release("a")
    lease.execute("b", 1, "step", lambda: None)


def test_numbers_go_on_after_control_was_lost(lease, clock):
    lease.execute("a", 1, "step", lambda: None)
    clock.now = 20.0
    lease.execute("b", 1, "step", lambda: None)
    lease.release("b")
    assert lease.last_sequence("a") == 1
    assert lease.execute("a", 2, "step", lambda: "next") == "next"


def test_a_client_needs_a_name(lease):
    with pytest.raises(InvalidRequest, match="client_id is empty"):
        lease.acquire("")
