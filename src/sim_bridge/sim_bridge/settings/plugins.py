"""Parts by name: shipped ones, those of installed packages (entry points), and one's own code.

A name means, in this order: ``python:MODULE:FUNCTION``, an entry of the table of shipped parts,
an entry point of the group (``twinstep.simulators``, ``twinstep.policies``,
``twinstep.strategies``). Nothing is imported before it is chosen.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from typing import Any

from sim_bridge.errors import InvalidRequest, NotFound, OperationFailed, unknown

SIMULATORS = "twinstep.simulators"
POLICIES = "twinstep.policies"
STRATEGIES = "twinstep.strategies"

PYTHON = "python:"
PYTHON_FORM = f"{PYTHON}MODULE:FUNCTION"


def find(kind: str, name: str, shipped: Mapping[str, str], group: str) -> Callable[..., Any]:
    """What ``name`` means; ``shipped`` maps names to ``MODULE:FUNCTION``, ``kind`` is for people.

    Raises NotFound that lists the valid names, NotFound for a missing module or function, and
    OperationFailed for a module that fails while it is imported.
    """
    if name.startswith(PYTHON):
        return import_function(name.removeprefix(PYTHON), f"{kind} {name!r}")
    if name in shipped:
        return import_function(shipped[name], f"{kind} {name!r}")
    if name not in (installed := names(group)):
        raise unknown(kind, name, (*shipped, *installed, PYTHON_FORM))
    return load(group, name)


def names(group: str) -> tuple[str, ...]:
    """What installed packages offer in a group of entry points, sorted."""
    return tuple(sorted(entry_points(group=group).names))


def load(group: str, name: str) -> Callable[..., Any]:
    """The object behind an entry point.

    Raises NotFound when no installed package offers it, InvalidRequest when two do, and what
    ``import_function`` raises.
    """
    return import_function(entry_point(group, name), f"{name!r} of {group}")


def entry_point(group: str, name: str) -> str:
    """The ``MODULE:FUNCTION`` of an entry point; raises as ``load`` does, but imports nothing."""
    found = tuple(entry_points(group=group, name=name))
    if not found:
        raise unknown(f"entry point of {group}", name, names(group))
    if len({point.value for point in found}) > 1:
        offers = " and ".join(sorted(point.dist.name if point.dist else "?" for point in found))
        raise InvalidRequest(f"{name!r} is offered by {offers} in {group}; uninstall one of them")
    return found[0].value


def import_function(text: str, what: str = "") -> Callable[..., Any]:
    """The function or class that ``MODULE:FUNCTION`` names; ``what`` begins an error's message.

    Raises InvalidRequest for another form or an attribute that cannot be called, NotFound for a
    missing module or function, OperationFailed for a module that fails while it is imported.
    """
    what = what or repr(text)
    module_name, _, attribute = text.partition(":")
    if not all(part.isidentifier() for part in (*module_name.split("."), attribute)):
        raise InvalidRequest(f"{what}: {text!r} is malformed; valid: MODULE:FUNCTION")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise NotFound(f"{what} needs the Python module {error.name!r}") from error
    except Exception as error:
        raise OperationFailed(f"{what}: importing {module_name} failed: {error!r}") from error
    found = getattr(module, attribute, None)
    if found is None:
        functions = sorted(n for n, v in vars(module).items() if callable(v) and n[0] != "_")
        raise unknown(f"function of {module_name} for {what}:", attribute, functions)
    if not callable(found):
        raise InvalidRequest(f"{what}: {text} is a {type(found).__name__}, not a function")
    return found
