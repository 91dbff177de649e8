"""A policy in Python code of one's own: ``python:MODULE:FUNCTION``.

``FUNCTION(spec: SimSpec)`` returns a ``PolicySource``; see ``policy_node/policy.py``.
"""

from __future__ import annotations

import importlib

from policy_node.policy import PolicySource
from sim_bridge.errors import InvalidRequest, NotFound
from sim_bridge.types import SimSpec


def open_source(address: str, spec: SimSpec) -> PolicySource:
    """InvalidRequest for a malformed address, NotFound when there is no such function."""
    module, _, function = address.partition(":")
    if not module or not function:
        raise InvalidRequest(f"policy 'python:{address}'; valid: python:MODULE:FUNCTION")
    try:
        make = getattr(importlib.import_module(module), function)
    except (ModuleNotFoundError, AttributeError) as error:
        raise NotFound(f"policy 'python:{address}': {error}") from error
    return make(spec)
