"""Errors that travel: each knows its ``Result`` code, so servers answer and clients raise alike."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class BridgeError(Exception):
    """A refused or failed request. ``code`` is a constant of ``sim_interfaces/msg/Result``."""

    code = 4


class FeatureUnsupported(BridgeError):
    code = 0


class NotFound(BridgeError):
    code = 2


class IncorrectState(BridgeError):
    code = 3


class OperationFailed(BridgeError):
    code = 4


class InvalidAction(BridgeError):
    code = 101


class InvalidState(BridgeError):
    code = 102


class InvalidRequest(BridgeError):
    code = 103


class LeaseHeld(BridgeError):
    code = 104


class SequenceGap(BridgeError):
    code = 105


class Busy(BridgeError):
    code = 106


class TimedOut(BridgeError):
    code = 107


class Canceled(BridgeError):
    code = 108


OK = 1
_BY_CODE = {cls.code: cls for cls in BridgeError.__subclasses__()}


def error_for(code: int, message: str) -> BridgeError:
    """The typed error for a result code other than OK."""
    return _BY_CODE.get(code, OperationFailed)(message)


def unknown(kind: str, value: str, choices: Iterable[object]) -> NotFound:
    """NotFound that names the offender, the valid choices and the one that was perhaps meant."""
    names = [str(choice) for choice in choices]
    listed = ", ".join(names) or "none"
    return NotFound(f"unknown {kind} {value!r}; valid: {listed}{suggestion(value, names)}")


def suggestion(value: str, choices: Iterable[str]) -> str:
    """``; did you mean 'X'?`` for the nearest of ``choices``, else nothing."""
    near = difflib.get_close_matches(value, list(choices), 1)
    return f"; did you mean {near[0]!r}?" if near else ""
