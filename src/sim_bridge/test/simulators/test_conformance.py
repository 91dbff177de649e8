"""The conformance suite on every simulator that can be imported here."""

import importlib.util
import os
from functools import partial
from pathlib import Path

import pytest

from sim_bridge.simulators.conformance import ConformanceCase, SimulatorConformance
from sim_bridge.simulators.registry import open_simulator

ODD_ROBOT = Path(__file__).parent / "odd_robot" / "scenes" / "scene.xml"
_SMALL = {"image_width": 64, "image_height": 48}
_NOISE = {"joint_noise": 0.1, "body_noise_m": 0.01}


def _case(name, simulator, task, kwargs=None, **properties):
    opener = partial(open_simulator, simulator, task, kwargs=kwargs or {}, **_SMALL)
    return ConformanceCase(name, opener, **properties)


_ENGINE = {"physics": os.environ.get("TWINSTEP_ISAAC_PHYSICS", "physx")}

# PhysX starts each solve from contact caches that a state does not hold, in single precision.
_PHYSX = {"repeat_tolerance": 1e-5, "write_tolerance": 1e-5}
# The module that must be importable, and the case.
CASES = {
    case.name: (module, case)
    for module, case in (
        ("lerobot_env_so101", _case("gymnasium-so101", "gymnasium", "SO101PickPlace-v0")),
        ("gym_aloha", _case("gymnasium-aloha", "gymnasium", "AlohaTransferCube-v0")),
        ("mujoco", _case("gymnasium-pusher", "gymnasium", "Pusher-v5")),
        ("mujoco", _case("mujoco", "mujoco", "so101", _NOISE)),
        ("mujoco", _case("mujoco-odd", "mujoco", str(ODD_ROBOT), _NOISE)),
        ("sapien", _case("sapien", "sapien", "so101", _NOISE, **_PHYSX)),
        ("numpy", _case("synthetic", "synthetic", "cameras")),
        (
            "isaaclab",
            _case("isaac_lab", "isaac_lab", "SO101PickPlace-v0", _ENGINE, alone=True, **_PHYSX),
        ),
    )
}


def _parameter(name):
    module, _ = CASES[name]
    missing = importlib.util.find_spec(module) is None
    skip = pytest.mark.skipif(missing, reason=f"no Python module {module}")
    return pytest.param(name, marks=skip)


@pytest.fixture(scope="module", params=[_parameter(name) for name in CASES])
def case(request):
    return CASES[request.param][1]


class TestConformance(SimulatorConformance):
    pass


def test_the_required_simulators_are_here():
    """They are locked dependencies of this environment: skipping them would prove nothing."""
    if importlib.util.find_spec("isaaclab"):
        pytest.skip("the Isaac environment holds Isaac only")
    for name in ("gymnasium-so101", "gymnasium-aloha", "mujoco", "sapien"):
        module, _ = CASES[name]
        assert importlib.util.find_spec(module), f"{name} needs {module}"
