"""The tests that every simulator passes, on this one."""

import pytest

from sim_bridge.simulators.conformance import ConformanceCase, SimulatorConformance
from sim_bridge.simulators.registry import open_simulator


@pytest.fixture(scope="module")
def case():
    return ConformanceCase("slider", lambda: open_simulator("slider"))


class TestSlider(SimulatorConformance):
    pass
