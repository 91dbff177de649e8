"""A policy in your own Python code: ``python:MODULE:FUNCTION``.

``FUNCTION(spec: SimSpec)`` returns a ``PolicySource``; see ``policy_node/policy.py``.
"""

from __future__ import annotations

from policy_node.policy import PolicySource
from sim_bridge.settings import plugins
from sim_bridge.types import SimSpec


def open_source(address: str, spec: SimSpec) -> PolicySource:
    """InvalidRequest for a malformed address, NotFound when there is no such function."""
    return plugins.import_function(address, f"policy '{plugins.PYTHON}{address}'")(spec)
