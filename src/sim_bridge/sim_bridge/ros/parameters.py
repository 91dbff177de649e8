"""A node's parameters: dataclasses of ``settings.parameters``, declared with descriptors.

Without a node, ``describe(DataClass)`` lists what a program takes: name, type, default,
description, range, choices. The dataclasses of a program are ``Program.parameters``.
"""

from __future__ import annotations

import math
import os
from typing import Any, TypeVar

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy.node import Node
from rclpy.parameter import Parameter

from sim_bridge.settings.parameters import ParameterInfo, check, describe, help_text, parameter

__all__ = [
    "ParameterInfo",
    "Report",
    "check",
    "declare_parameters",
    "declare_pid",
    "describe",
    "help_text",
    "parameter",
    "read_parameters",
]

P = TypeVar("P")
_MOST = 2**63 - 1


def read_parameters(node: Node, cls: type[P], prefix: str = "", **defaults: Any) -> P:
    """Build the dataclass ``cls`` from what the node was started with, and declare it there.

    Names are the fields' after ``prefix``; ``defaults`` replace the fields' own. InvalidRequest
    for a value of another type or out of range.
    """
    values = {}
    for info in describe(cls, prefix):
        name = info.name.removeprefix(prefix)
        given = _start_value(node, info.name, defaults.get(name, info.default))
        values[name] = info.coerce(given)
        info.check(values[name])
    out = cls(**values)
    declare_parameters(node, out, prefix)
    return out


def declare_parameters(node: Node, settings: Any, prefix: str = "") -> None:
    """Show the values of an instance as the node's parameters."""
    for info in describe(type(settings), prefix):
        value = getattr(settings, info.name.removeprefix(prefix))
        node.declare_parameter(info.name, value, descriptor(info), ignore_override=True)


def descriptor(info: ParameterInfo) -> ParameterDescriptor:
    """What ``ros2 param describe`` tells."""
    out = ParameterDescriptor(description=info.description, read_only=info.read_only)
    low = info.low if info.above is None else info.above
    high = info.high
    if low is None and high is None:
        out.additional_constraints = f"valid: {info.valid}" if info.choices else ""
    elif info.type is int:
        low, high = (int(-_MOST if low is None else low), int(_MOST if high is None else high))
        out.integer_range = [IntegerRange(from_value=low, to_value=high, step=info.step)]
    else:
        low, high = (-math.inf if low is None else low, math.inf if high is None else high)
        out.floating_point_range = [FloatingPointRange(from_value=low, to_value=high)]
        out.additional_constraints = f"valid: {info.valid}" if info.above is not None else ""
    return out


def _start_value(node: Node, name: str, default: Any) -> Any:
    """With any type, so that a wrong one is an error of ours, in words."""
    value = node.declare_parameter(name, default, ParameterDescriptor(dynamic_typing=True)).value
    node.undeclare_parameter(name)
    return value


class Report:
    """A parameter by which a node tells something of itself; nobody else may set it."""

    def __init__(self, node: Node, name: str, value: str | int, description: str) -> None:
        self._node = node
        self._name = name
        self._value = value
        about = ParameterDescriptor(description=description)
        node.declare_parameter(name, value, about, ignore_override=True)
        node.add_on_set_parameters_callback(self._on_set)

    def tell(self, value: str | int) -> None:
        self._value = value
        self._node.set_parameters([Parameter(self._name, value=value)])

    def _on_set(self, parameters: list[Parameter]) -> SetParametersResult:
        wrong = any(p.name == self._name and p.value != self._value for p in parameters)
        reason = f"{self._name} is told by the node and cannot be set" if wrong else ""
        return SetParametersResult(successful=not wrong, reason=reason)


def declare_pid(node: Node) -> None:
    """The process id as parameter ``pid``: who wants to measure or end it has its own ways."""
    about = ParameterDescriptor(description="process id of the node", read_only=True)
    node.declare_parameter("pid", os.getpid(), about, ignore_override=True)
