"""The README's commands for a machine with ROS 2, word for word, on a ROS without pip packages."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from ros_prefix import make_prefix
from workspace.environment import find_environment

ENVIRONMENT = find_environment()
ROOT = ENVIRONMENT.root
PACKAGES = ("mujoco", "gymnasium", "av", "starlette", "onnxruntime")
# No compiler output in C++, as in the workspace's own build: a third of the time.
COLCON_DEFAULTS = f"""
build:
  cmake-args:
    - -GNinja
    - -DBUILD_TESTING=OFF
    - -DCMAKE_PROJECT_INCLUDE={ROOT}/tools/cmake/python_only_interfaces.cmake
"""

pytestmark = [
    pytest.mark.process,
    pytest.mark.timeout(900),
    pytest.mark.skipif(
        ENVIRONMENT.sourced or not ENVIRONMENT.packages(),
        reason="ROS 2 is sourced, or nothing built",
    ),
]


def readme_commands() -> str:
    """The code block of the section "Two machines" that makes the virtual environment."""
    section = (ROOT / "README.md").read_text().partition("\n## Two machines\n")[2]
    blocks = section.partition("\n## ")[0].split("```")[1::2]
    return next(block for block in blocks if "-m venv" in block)


@pytest.fixture(scope="module")
def shell(tmp_path_factory):
    """Runs a script in a copy of the workspace, in a shell that has sourced ROS 2."""
    folder = tmp_path_factory.mktemp("ros")
    variables = make_prefix(ENVIRONMENT, folder / "opt")
    (folder / "defaults.yaml").write_text(COLCON_DEFAULTS)
    variables["COLCON_DEFAULTS_FILE"] = str(folder / "defaults.yaml")
    copied = shutil.ignore_patterns("test", "__pycache__", "*.egg-info")
    for name in ("src", "underlay", "requirements", "launch"):
        shutil.copytree(ROOT / name, folder / "workspace" / name, ignore=copied)

    def run(script: str, timeout_s: float = 60.0) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-e", "-c", script],
            cwd=folder / "workspace",
            env=variables,
            capture_output=True,
            text=True,
            timeout=timeout_s,
        )

    return run


@pytest.fixture(scope="module")
def built(shell):
    done = shell(readme_commands(), timeout_s=800.0)
    if "Failed to establish a new connection" in done.stderr:
        pytest.skip("the package index cannot be reached")
    assert done.returncode == 0, done.stderr[-4000:]
    return shell


def test_that_ros_alone_has_none_of_the_packages(shell):
    assert shell("python3 -c 'import rclpy, colcon_core'").returncode == 0
    for package in PACKAGES:
        assert shell(f"python3 -c 'import {package}'").returncode != 0, package


def test_the_programs_find_the_packages_from_a_shell_without_the_virtual_environment(built):
    for program in ("sim_bridge/sim_bridge", "policy_node/policy_node", "mujoco_mirror/monitor"):
        package, name = program.split("/")
        path = f"install/{package}/lib/{package}/{name}"
        done = built(f"source install/setup.bash; head -1 {path}; {path} --help")
        assert done.returncode == 0, done.stderr
        first, _, rest = done.stdout.partition("\n")
        assert first.endswith("/.venv-ros/bin/python") and rest.startswith("usage:")
        imports = "; ".join(f"import {package}" for package in PACKAGES)
        done = built(f"source install/setup.bash; {first[2:]} -c '{imports}; import sim_bridge'")
        assert done.returncode == 0, done.stderr


def test_an_episode_of_the_trained_policy_succeeds(built):
    checkpoint = "install/policy_node/share/policy_node/checkpoints/so101_pick_place"
    words = f"--policy {checkpoint} --episodes 1 --seed 1000 --output out"
    program = "install/policy_node/lib/policy_node/evaluate"
    done = built(f"source install/setup.bash; {program} {words}; cat out/summary.json", 170.0)
    assert done.returncode == 0, done.stderr[-3000:]
    assert '"success_rate": 1.0' in done.stdout
