"""Which environment is used, and what it sets."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from workspace.environment import Environment, SetupError, check_place, find_environment


def test_without_ros_the_wheels_of_jazzy_are_used_or_of_the_named_distribution():
    assert find_environment({}) == Environment("jazzy", sourced=False)
    assert find_environment({"ROS_DISTRO": "kilted"}) == Environment("kilted", sourced=False)


def test_a_distribution_without_wheels_is_refused_with_the_valid_ones():
    with pytest.raises(SetupError, match="'humble'.*jazzy, kilted"):
        find_environment({"ROS_DISTRO": "humble"})


def test_an_active_wheels_environment_is_not_taken_for_a_sourced_ros(tmp_path):
    (tmp_path / "pyvenv.cfg").touch()
    variables = {"ROS_DISTRO": "kilted", "AMENT_PREFIX_PATH": str(tmp_path)}
    assert not find_environment(variables).sourced


def test_a_sourced_ros_is_used_whatever_its_distribution(tmp_path, monkeypatch):
    (tmp_path / "rclpy").mkdir()
    (tmp_path / "rclpy" / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    variables = {"ROS_DISTRO": "lyrical", "AMENT_PREFIX_PATH": "/opt/ros/lyrical"}
    environment = find_environment(variables)
    assert environment == Environment("lyrical", sourced=True)
    assert environment.lock(tests=False).name == "system.lock"


def test_environments_share_no_folder():
    environments = [
        Environment("jazzy", False), Environment("kilted", False), Environment("jazzy", True)
    ]  # fmt: skip
    folders = [f for e in environments for f in (e.venv, e.build, e.install)]
    assert len(set(folders)) == len(folders)


def test_the_variables_find_packages_libraries_and_python_modules(tmp_path):
    environment = Environment("jazzy", False, tmp_path)
    package = environment.install / "robot"
    (package / "share").mkdir(parents=True)
    inherited = {"PATH": "/bin", "PYTHONPATH": "/else", "_ROS_WHEELS_BOOTSTRAP_COMPLETE": "1"}
    variables = environment.variables(inherited)
    assert variables["AMENT_PREFIX_PATH"] == os.pathsep.join([str(package), f"{tmp_path}/.venv"])
    assert variables["LD_LIBRARY_PATH"].split(os.pathsep)[0] == str(package / "lib")
    assert variables["PYTHONPATH"].endswith("site-packages") and "/else" not in str(variables)
    assert variables["PATH"] == f"{tmp_path}/.venv/bin{os.pathsep}/bin"
    assert "_ROS_WHEELS_BOOTSTRAP_COMPLETE" not in variables


def test_locks_are_hashed_pinned_and_name_no_place():
    root = Path(__file__).parents[2]
    locks = sorted((root / "requirements").glob("*.lock"))
    assert len(locks) >= 7
    for lock in locks:
        text = lock.read_text()
        assert "://" not in text and "find-links" not in text and " /" not in text, lock.name
        blocks = text.replace("\\\n", " ").splitlines()
        for block in (b for b in blocks if b.strip() and not b.startswith("#")):
            assert "==" in block and "--hash=sha256:" in block, f"{lock.name}: {block[:60]}"


def test_a_workspace_below_a_name_with_a_space_is_refused_at_once(tmp_path):
    check_place(tmp_path)
    with pytest.raises(SetupError, match="two words.*; valid: a path without spaces"):
        check_place(tmp_path / "two words")
