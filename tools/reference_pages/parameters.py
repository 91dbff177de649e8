"""Parameters of every node, from the dataclasses that validate them."""

from __future__ import annotations

import importlib
import inspect

from sim_bridge.settings.parameters import ParameterInfo, describe

from .markdown import code, page, table

# Program: the dataclasses that it reads, in order, with what stands before their fields' names.
NODES = {
    "sim_bridge": {
        "sim_bridge.bridge.parameters:BridgeParameters": "",
        "sim_bridge.bridge.parameters:CameraParameters": "camera.<name>.",
    },
    "policy_node": {
        "policy_node.node.parameters:PolicyParameters": "",
        "policy_node.node.outward.outward:ServeParameters": "",
    },
    "rollout": {"policy_node.node.parameters:RolloutParameters": ""},
    "demo": {"policy_node.demo.client:DemoParameters": ""},
    "mirror": {"mujoco_mirror.node.parameters:MirrorParameters": ""},
    "monitor": {"mujoco_mirror.monitor.parameters:MonitorParameters": ""},
}
_HEAD = ("parameter", "type", "default", "valid", "meaning")


def text() -> str:
    intro = (
        "Set one with `--ros-args -p name:=value`, or in `launch/params/*.yaml`. A value that is "
        "not valid is refused at start with the valid ones. A node reads its parameters once, at "
        "start, except where it says otherwise."
    )
    return page("Parameters", intro, *(_section(*node) for node in NODES.items()))


def _section(program: str, targets: dict[str, str]) -> str:
    classes = {_loaded(target): prefix for target, prefix in targets.items()}
    words = "\n\n".join(inspect.cleandoc(c.__doc__ or "").replace("``", "`") for c in classes)
    rows = [_row(info) for cls, prefix in classes.items() for info in describe(cls, prefix)]
    return f"## {program}\n\n{words}\n\n{table(_HEAD, rows)}"


def _loaded(target: str) -> type:
    module, _, name = target.partition(":")
    return getattr(importlib.import_module(module), name)


def _row(info: ParameterInfo) -> tuple[str, ...]:
    default = "empty" if info.default == "" else code(_shown(info.default))
    return code(info.name), info.type.__name__, default, info.valid, info.description


def _shown(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
