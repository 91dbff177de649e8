"""The time that a rollout still takes."""

from policy_node.rollout.progress_board import time_left_s


def test_the_time_left_is_that_of_the_episodes_before():
    assert time_left_s(0, 10, 0.0, 3.0) is None
    assert time_left_s(2, 10, 8.0, 1.0) == 3.0 + 7 * 4.0
    assert time_left_s(9, 10, 36.0, 9.0) == 0.0
