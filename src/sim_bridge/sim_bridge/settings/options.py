"""Options of a dataclass from a mapping, as JSON, YAML or an address gives them.

    @dataclass(frozen=True)
    class ArmOptions:
        joints: int = parameter(6, "how many", low=1)
        entities: Mapping[str, str] = field(default_factory=dict)

    read_options(ArmOptions, {"joints": 7})

Ranges, choices and descriptions are those of ``settings.parameters``; types are the fields'
annotations: bool, int, float, str, ``X | None``, ``tuple[X, ...]``, ``list[X]``,
``Mapping[str, X]``, and dataclasses, which are read likewise.
"""

from __future__ import annotations

import json
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar

from sim_bridge.errors import InvalidRequest, suggestion
from sim_bridge.settings.parameters import describe

T = TypeVar("T")
_WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}


def read_options(cls: type[T], values: Mapping[str, Any], kind: str = "option") -> T:
    """An instance of ``cls`` with ``values`` for its fields; ``kind`` is for people.

    Raises InvalidRequest for a name that ``cls`` does not have (with the nearest one), for a
    value of another type and for one that is out of range.
    """
    return cls(**_checked(cls, values, kind, _convert))


def parse_options(cls: type[T], texts: Mapping[str, str], kind: str = "option") -> T:
    """``read_options`` for values that are text: ``A,B`` is a tuple, ``A:1,B:2`` a mapping."""
    return cls(**_checked(cls, texts, kind, _parse))


def json_object(text: str, what: str) -> dict[str, Any]:
    """A JSON object; empty for empty ``text``. InvalidRequest, naming it ``what``, otherwise."""
    try:
        options = json.loads(text or "{}")
    except json.JSONDecodeError as error:
        raise InvalidRequest(f"{what} is not JSON: {error}") from None
    if not isinstance(options, dict):
        raise InvalidRequest(f"{what} is a {type(options).__name__}; valid: a JSON object")
    return options


def _checked(cls: type, values: Any, kind: str, convert: Any) -> dict[str, Any]:
    if not isinstance(values, Mapping):
        raise InvalidRequest(f"{kind}s: {values!r} is not a mapping of names to values")
    hints = typing.get_type_hints(cls)
    known = [field.name for field in fields(cls)]
    infos = {info.name: info for info in describe(cls, kind=kind)}
    out = {}
    for name, value in values.items():
        if name not in known:
            raise InvalidRequest(
                f"unknown {kind} {name!r}; valid: {', '.join(known)}{suggestion(name, known)}"
            )
        try:
            out[name] = convert(value, hints[name], name)
        except ValueError as error:
            raise InvalidRequest(f"{kind} {name} is {value!r}; valid: {error}") from None
        if name in infos:
            infos[name].check(out[name])
    return out


def _convert(value: Any, hint: Any, where: str) -> Any:
    """``value`` as ``hint`` has it; ValueError says what is valid."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return None if value is None else _convert(value, inner[0], where)
    if isinstance(hint, type) and is_dataclass(hint):
        return read_options(hint, value, f"option of {where}")
    if origin is Mapping:
        if not isinstance(value, Mapping):
            raise ValueError("a mapping of names to values")
        return {
            str(name): _convert(item, inner[1], f"{where} {name!r}") for name, item in value.items()
        }
    if origin in (tuple, list):
        if not isinstance(value, Sequence) or isinstance(value, str):
            raise ValueError("a list")
        return origin(_convert(item, inner[0], where) for item in value)
    if hint is float and type(value) is int:
        return float(value)
    if type(value) is not hint:
        raise ValueError(_WORDS[hint])
    return value


def _parse(text: str, hint: Any, where: str) -> Any:
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return _parse(text, inner[0], where)
    if origin is Mapping:
        pairs = [item.rpartition(":") for item in filter(None, text.split(","))]
        if not all(separator for _, separator, _ in pairs):
            raise ValueError("NAME:VALUE,NAME:VALUE")
        return {name: _parse(value, inner[1], where) for name, _, value in pairs}
    if origin is tuple:
        return tuple(_parse(item, inner[0], where) for item in filter(None, text.split(",")))
    try:
        return hint(text)
    except ValueError:
        raise ValueError(_WORDS[hint]) from None
