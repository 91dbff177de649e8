"""A node's parameters as one validated dataclass."""

from __future__ import annotations

from dataclasses import fields
from typing import Any


def read_parameters(node: Any, cls: type) -> Any:
    """Declare every field of the dataclass ``cls`` on ``node`` and build it from the values."""
    values = {f.name: node.declare_parameter(f.name, f.default).value for f in fields(cls)}
    return cls(**values)
