"""Parameters of every node, from the dataclasses that validate them."""

from __future__ import annotations

import importlib
import inspect
from dataclasses import Field, fields

from .markdown import code, page, table

# Program: the dataclasses that it reads, in order.
NODES = {
    "sim_bridge": ("sim_bridge.bridge.parameters:BridgeParameters",),
    "policy_node": (
        "policy_node.node.parameters:PolicyParameters",
        "policy_node.node.outward.outward:ServeParameters",
    ),
    "rollout": ("policy_node.node.parameters:RolloutParameters",),
    "demo": ("policy_node.demo.client:DemoParameters",),
    "mirror": ("mujoco_mirror.node.parameters:MirrorParameters",),
    "monitor": ("mujoco_mirror.monitor.parameters:MonitorParameters",),
}
_HEAD = ("parameter", "type", "default", "meaning")


def text() -> str:
    intro = (
        "Set one with `--ros-args -p name:=value`, or in `launch/params/*.yaml`. A value that is "
        "not valid is refused at start with the valid ones. A node reads its parameters once, at "
        "start, except where it says otherwise."
    )
    return page("Parameters", intro, *(_section(*node) for node in NODES.items()))


def _section(program: str, targets: tuple[str, ...]) -> str:
    classes = [_loaded(target) for target in targets]
    words = "\n\n".join(inspect.cleandoc(c.__doc__ or "").replace("``", "`") for c in classes)
    rows = [_row(field) for cls in classes for field in fields(cls)]
    return f"## {program}\n\n{words}\n\n{table(_HEAD, rows)}"


def _loaded(target: str) -> type:
    module, _, name = target.partition(":")
    return getattr(importlib.import_module(module), name)


def _row(field: Field) -> tuple[str, str, str, str]:
    kind = field.type if isinstance(field.type, str) else field.type.__name__
    default = "empty" if field.default == "" else code(_shown(field.default))
    return code(field.name), kind, default, field.metadata.get("description", "")


def _shown(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
