"""Set-up steps: once per content, again after a failure, with the output of what failed."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from workspace.build import build_inputs, changed_since_build
from workspace.environment import Environment, SetupError
from workspace.steps import digest, run_logged, run_step
from workspace.wheels import repair_cmake


def test_a_step_runs_once_per_key_with_one_line(tmp_path, capsys):
    stamp, done = tmp_path / "s" / "stamp", []
    for key in ("a", "a", "b"):
        run_step("build", stamp, key, lambda key=key: done.append(key))
    assert done == ["a", "b"]
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 and all(line.startswith("[setup] build ... ") for line in lines)


def test_an_interrupted_step_runs_again(tmp_path):
    stamp = tmp_path / "stamp"
    run_step("x", stamp, "old", lambda: None)

    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_step("x", stamp, "new", interrupted)
    done = []
    run_step("x", stamp, "old", lambda: done.append(1))
    assert done == [1]


@pytest.mark.process
def test_a_failed_command_tells_its_last_output_and_where_the_rest_is(tmp_path):
    log = tmp_path / "log"
    with pytest.raises(SetupError, match=f"(?s)no such wheel.*{log}"):
        run_logged([sys.executable, "-c", "import sys; sys.exit('no such wheel')"], log)


def test_the_build_depends_on_interfaces_and_packaging_but_not_on_python_modules(tmp_path):
    environment = Environment("jazzy", False, tmp_path)
    package = tmp_path / "src" / "robot"
    for name in ("setup.py", "package.xml", "msg/A.msg", "robot/node.py", "robot/page.html"):
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text("1")
    (tmp_path / "colcon.meta").touch()

    def key() -> str:
        return digest(files=build_inputs(environment))

    first = key()
    (package / "robot" / "node.py").write_text("2")
    assert key() == first
    for name in ("setup.py", "package.xml", "msg/A.msg"):
        before = key()
        (package / name).write_text("2")
        assert key() != before, name


def test_a_build_older_than_its_inputs_is_seen_until_it_is_made_or_found_good(tmp_path):
    environment = Environment("jazzy", False, tmp_path)
    interface = tmp_path / "src" / "robot" / "A.msg"
    interface.parent.mkdir(parents=True)
    for file in (interface, tmp_path / "colcon.meta"):
        file.write_text("1")
        os.utime(file, (1000, 1000))
    stamp = environment.install / ".stamp"
    assert changed_since_build(environment) is None  # never built: said elsewhere

    run_step("build", stamp, "key", lambda: None)
    assert changed_since_build(environment) is None
    os.utime(interface, (stamp.stat().st_mtime + 1,) * 2)
    assert changed_since_build(environment) == Path("src/robot/A.msg")
    os.utime(interface, (2000, 2000))
    os.utime(stamp, (1500, 1500))
    assert changed_since_build(environment) == Path("src/robot/A.msg")
    run_step("build", stamp, "key", pytest.fail)  # the same content: nothing to do
    assert changed_since_build(environment) is None


def test_stale_include_paths_of_the_wheels_are_replaced():
    text = (
        'set(A "/opt/python/cp312-cp312/include/python3.12;'
        '/opt/python/cp312-cp312/lib/python3.12/site-packages/numpy/_core/include")'
    )
    assert repair_cmake(text, "/py", "/np") == 'set(A "/py;/np")'
    assert repair_cmake(r'set(B "\1/usr/include")', "/py", "/np") == r'set(B "\1/usr/include")'
