"""What only the synthetic simulator has; its conformance is in test_conformance."""

import resource
import time

import numpy as np
import pytest

from sim_bridge.errors import InvalidRequest
from sim_bridge.simulators.synthetic import SyntheticSimulator


def test_a_step_takes_the_time_that_was_asked_for():
    simulator = SyntheticSimulator("any", {"step_wall_time_s": 0.05, "joints": 2})
    simulator.reset(seed=0)
    start, switches = time.monotonic(), _times_it_waited()
    simulator.step(np.zeros(2))
    assert time.monotonic() - start >= 0.05
    assert _times_it_waited() - switches < 5  # busy, not asleep; a busy machine makes nobody wait


def _times_it_waited() -> int:
    """Voluntary context switches of this thread."""
    return resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"step_wall_time_s": -1.0}, "step_wall_time_s is -1.0; valid: 0 to 60"),
        ({"joints": 0}, "option joints is 0; valid: 1 or more"),
        ({"arms": 2}, "unknown option 'arms'; valid: .*step_wall_time_s"),
    ],
)
def test_options_are_checked(options, message):
    with pytest.raises(InvalidRequest, match=message):
        SyntheticSimulator("any", options)
