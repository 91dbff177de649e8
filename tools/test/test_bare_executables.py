"""What is installed runs from any shell: nothing sourced, no ``tools/run``."""

from __future__ import annotations

import json
import os
import subprocess

import pytest
from workspace.bare import PTH, ensure_hook
from workspace.environment import find_environment

ENVIRONMENT = find_environment()
BARE = {name: os.environ[name] for name in ("HOME", "PATH") if name in os.environ}

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(
        ENVIRONMENT.sourced or not ENVIRONMENT.packages(),
        reason="ROS 2 is sourced, or nothing built",
    ),
]


def run(program: str, *arguments: str) -> subprocess.CompletedProcess:
    package, name = program.split("/")
    path = ENVIRONMENT.install / package / "lib" / package / name
    command = [str(path.relative_to(ENVIRONMENT.root)), *arguments]
    return subprocess.run(
        command, cwd=ENVIRONMENT.root, env=BARE, capture_output=True, text=True, timeout=150
    )


@pytest.mark.parametrize("program", ["sim_bridge/sim_bridge", "mujoco_mirror/monitor"])
def test_a_program_of_each_package_tells_its_usage(program):
    done = run(program, "--help")
    assert done.returncode == 0 and done.stdout.startswith("usage:"), done.stderr


def test_evaluate_reproduces_an_episode_of_the_trained_policy(tmp_path):
    checkpoint = "src/policy_node/checkpoints/so101_pick_place"
    words = f"--policy {checkpoint} --episodes 1 --num-envs 2 --seed 1000 --output {tmp_path}"
    done = run("policy_node/evaluate", *words.split())
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "summary.json").read_text())["success_rate"] == 1.0


def test_the_hook_is_written_once_and_names_no_place(tmp_path):
    ensure_hook(tmp_path)
    before = (tmp_path / PTH).stat().st_mtime_ns
    ensure_hook(tmp_path)
    assert (tmp_path / PTH).stat().st_mtime_ns == before
    assert str(ENVIRONMENT.root) not in (tmp_path / PTH).read_text()
    (tmp_path / PTH).write_text("import nothing\n")
    ensure_hook(tmp_path)
    assert "nothing" not in (tmp_path / PTH).read_text()


def test_a_prepared_environment_is_left_as_it_is():
    python = str(ENVIRONMENT.python)
    code = "import os; print(os.environ['AMENT_PREFIX_PATH'])"
    prefixes = f"/else{os.pathsep}{ENVIRONMENT.venv}"
    env = {**BARE, "AMENT_PREFIX_PATH": prefixes}
    done = subprocess.run([python, "-c", code], env=env, capture_output=True, text=True)
    assert done.stdout.strip() == prefixes
