"""tools/launch and the real ``launch`` come to the same commands, for every launch file here."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest
import yaml
from launch_runner.cli import PackageIndex
from launch_runner.plan import Process
from launch_runner.resolve import resolve

from sim_bridge.remote.profiles import PROFILE_VARIABLES

pytestmark = pytest.mark.process

launch = pytest.importorskip("launch", reason="the real launch is not installed")
pytest.importorskip("launch_ros", reason="launch_ros is not installed")
pytest.importorskip("launch_xml", reason="launch_xml is not installed")

LAUNCH_FILES = sorted((Path(__file__).parents[2] / "launch").glob("*.launch.xml"))
VALUES = (
    {},
    {"namespace": "lab", "monitor": "true", "task": "Other Task-v1", "seed": "7", "policy": "hold"},
)


@pytest.mark.parametrize("values", VALUES, ids=["defaults", "values"])
@pytest.mark.parametrize("file", LAUNCH_FILES, ids=lambda file: file.stem)
def test_same_commands(file: Path, values: dict[str, str], monkeypatch) -> None:
    # execute() of the real one prepares the command, then starts it: stop in between
    monkeypatch.setattr(
        launch.actions.ExecuteLocal, "execute", lambda self, context: self.prepare(context)
    )
    for name in (*PROFILE_VARIABLES, "ROS_DOMAIN_ID"):
        monkeypatch.delenv(name, raising=False)  # what is set already would be no addition
    declared = {a.name for a in resolve(file, {}, _prefix, os.environ).arguments}
    values = {name: value for name, value in values.items() if name in declared}
    ours = [_canonical(p) for p in resolve(file, values, _prefix, os.environ).processes]
    with mock.patch.dict(os.environ):  # the real one sets variables of this very process
        theirs = [_canonical(p) for p in _real_processes(file, values)]
    assert ours == theirs
    assert ours


def _prefix(package: str) -> Path:
    return PackageIndex(os.environ).prefix(package)


def _real_processes(file: Path, values: dict[str, str]) -> list[Process]:
    context = launch.LaunchContext()
    context.launch_configurations.update(values)
    before = dict(context.environment)
    include = launch.actions.IncludeLaunchDescription(
        launch.launch_description_sources.AnyLaunchDescriptionSource(str(file))
    )
    processes = []
    for action in _actions(include, context):
        action.execute(context)
        details = action.process_description
        environment = context.environment if details.final_env is None else details.final_env
        added = {k: v for k, v in environment.items() if before.get(k) != v}
        processes.append(
            Process("", tuple(details.final_cmd), added, details.final_cwd, _shuts_down(action))
        )
    return processes


def _shuts_down(action) -> bool:
    on_exit = action._ExecuteLocal__on_exit
    return any(isinstance(a, launch.actions.Shutdown) for a in on_exit or ())


def _actions(entity, context) -> Iterator:
    """The processes that ``entity`` would start, in order."""
    if isinstance(entity, launch.actions.ExecuteLocal):
        if entity.condition is None or entity.condition.evaluate(context):
            yield entity
        return
    for child in entity.visit(context) or ():
        yield from _actions(child, context)


def _canonical(process: Process) -> dict:
    """What a command means, however its parameters are passed."""
    words = list(process.command)
    split = words.index("--ros-args") if "--ros-args" in words else len(words)
    remaps, parameters, ros = [], [], words[split + 1 :]
    for option, value in zip(ros[::2], ros[1::2], strict=True):
        if option == "-r":
            remaps.append(value)
        elif option == "--params-file" and "launch_params_" not in value:
            parameters.append(value)
        else:
            parameters += _inline(option, value)
    return {
        "command": words[:split],
        "remaps": remaps,
        "parameters": parameters,
        "environment": process.environment,
        "cwd": process.working_directory,
        "required": process.required,
    }


def _inline(option: str, value: str) -> list[dict]:
    if option == "-p":
        name, _, text = value.partition(":=")
        return [{name: yaml.safe_load(text)}]
    (content,) = yaml.safe_load(Path(value).read_text()).values()
    return [content["ros__parameters"]]
