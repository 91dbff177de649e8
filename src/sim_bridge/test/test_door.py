"""What the packages offer by their own names, and how little it costs to import them."""

import importlib
import json
import subprocess
import sys

import pytest

import sim_bridge

PACKAGES = ("sim_bridge", "policy_node", "mujoco_mirror")
BUDGET_S = 0.1


def fresh(code):
    """What ``code`` prints, as JSON, in an interpreter of its own."""
    done = subprocess.run(
        [sys.executable, "-c", f"import json, sys, time\n{code}"],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    return json.loads(done.stdout)


@pytest.mark.parametrize("package", PACKAGES)
def test_every_name_is_there(package):
    module = importlib.import_module(package)
    for name in module.__all__:
        assert getattr(module, name).__name__ == name
    with pytest.raises(AttributeError, match=f"module '{package}' has no attribute 'Nothing'"):
        module.Nothing  # noqa: B018


def test_the_promised_names():
    assert set(sim_bridge.__all__) == {
        "RemoteEnv", "RemoteVectorEnv", "RemoteHost", "SimState", "SimSpec", "Observation",
        "Trajectory", "BridgeError",
    }  # fmt: skip


@pytest.mark.process
@pytest.mark.parametrize("package", PACKAGES)
def test_importing_a_package_imports_nothing_else(package):
    code = f"""
start = time.perf_counter()
import {package}
print(json.dumps([time.perf_counter() - start, list(sys.modules)]))"""
    tries = [fresh(code) for _ in range(3)]
    assert min(seconds for seconds, _ in tries) < BUDGET_S
    assert not {"numpy", "rclpy", "gymnasium", "mujoco", "sim_bridge.types"} & set(tries[0][1])


@pytest.mark.process
@pytest.mark.parametrize(
    "first, second", [("gymnasium", "sim_bridge"), ("sim_bridge", "gymnasium")]
)
def test_gymnasium_knows_the_remote_environment(first, second):
    code = f"""
import {first}
import {second}
print(json.dumps(gymnasium.spec("twinstep/Remote-v0").entry_point))"""
    assert fresh(code) == "sim_bridge.client.env:RemoteEnv"
