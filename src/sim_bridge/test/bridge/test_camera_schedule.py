"""Which control steps get a picture."""

import numpy as np
import pytest

from sim_bridge.bridge.camera_schedule import CameraSchedule


def drawn(schedule, period_s, count, start_s=0.0):
    return [i for i in range(count) if schedule.due(start_s + i * period_s)]


def test_every_step_at_the_control_rate_or_above():
    for rate_hz in (50, 1000):
        assert drawn(CameraSchedule(rate_hz), 0.02, 100) == list(range(100))


def test_a_divided_rate_is_regular():
    assert drawn(CameraSchedule(10), 0.02, 26) == [0, 5, 10, 15, 20, 25]


def test_an_odd_rate_is_kept_on_average():
    steps = drawn(CameraSchedule(30), 0.02, 5000)
    assert len(steps) == pytest.approx(30 * 100, abs=1)
    assert set(np.diff(steps)) == {1, 2}


def test_summed_time_steps_do_not_skip_a_frame():
    schedule, time_s, count = CameraSchedule(100), 0.0, 0
    for _ in range(1000):
        count += schedule.due(time_s)
        time_s += 0.01
    assert count == 1000


def test_a_new_episode_is_due_at_once():
    schedule = CameraSchedule(1)
    assert schedule.due(5.0)
    assert not schedule.due(5.5)
    assert schedule.due(0.0)
    assert not schedule.due(0.5)
    assert schedule.due(1.0)


def test_a_written_state_is_due_although_time_stands():
    schedule = CameraSchedule(1)
    assert schedule.due(0.0)
    assert schedule.due(0.0)
    assert not schedule.due(0.5)


def test_no_burst_after_a_pause():
    schedule = CameraSchedule(10)
    assert schedule.due(0.0)
    assert drawn(schedule, 0.02, 11, start_s=7.0) == [0, 5, 10]


def test_rate_zero_never_draws():
    assert drawn(CameraSchedule(0), 0.02, 100) == []
