"""When to try again."""

from sim_bridge.backoff import Backoff


def test_delays_double_up_to_the_longest_and_end_in_time():
    now = 100.0
    backoff = Backoff(0.5, longest_s=2.0, give_up_s=7.0, clock=lambda: now)
    delays = []
    while (delay_s := backoff.delay_s()) is not None:
        delays.append(delay_s)
        now += delay_s
    assert delays == [0.5, 1.0, 2.0, 2.0]  # another 2 s would end after 7.5 s
    assert backoff.elapsed_s == 5.5


def test_the_time_of_the_tries_counts():
    now = 0.0
    backoff = Backoff(1.0, give_up_s=5.0, clock=lambda: now)
    assert backoff.delay_s() == 1.0
    now = 4.0
    assert backoff.delay_s() is None
