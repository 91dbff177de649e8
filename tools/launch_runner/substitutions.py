"""Substitutions of launch XML: text with ``$(name argument ...)`` in it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .plan import LaunchError

_INNERMOST = re.compile(r"\$\(([^()$]*)\)")
# Stands for a substitution's value while the text around it is split into words.
_MARK = re.compile("\x00(\\d+)\x00")


@dataclass
class Scope:
    """What substitutions look up. ``package_prefix`` finds an installed package's prefix."""

    package_prefix: Callable[[str], Path]
    inherited: Mapping[str, str]
    configurations: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    file: Path = Path()

    def expand(self, text: str) -> str:
        """``text`` with every substitution replaced, and none in the values; LaunchError on an
        unknown one."""
        marked, values = self._mark(text)
        return _restore(marked, values)

    def words(self, text: str) -> list[str]:
        """Split like a shell, then expand: a substituted value never falls apart."""
        marked, values = self._mark(text)
        try:
            parts = shlex.split(marked)
        except ValueError as error:
            raise LaunchError(f"{text!r}: {error}") from None
        return [_restore(part, values) for part in parts]

    def _mark(self, text: str) -> tuple[str, list[str]]:
        """Marks in the place of the substitutions, and their values."""
        values: list[str] = []

        def keep(match: re.Match[str]) -> str:
            values.append(self._evaluate(_restore(match[1], values)))
            return f"\x00{len(values) - 1}\x00"

        marked = text
        while _INNERMOST.search(marked):
            marked = _INNERMOST.sub(keep, marked, count=1)
        if "$(" in marked:
            raise LaunchError(f"{text!r}: a substitution is not closed")
        return marked, values

    def _evaluate(self, expression: str) -> str:
        name, _, rest = expression.strip().partition(" ")
        arguments = shlex.split(rest)
        if name == "dirname" and not arguments:
            return str(self.file.parent)
        if name == "find-pkg-share" and len(arguments) == 1:
            return str(self.package_prefix(arguments[0]) / "share" / arguments[0])
        if name == "var" and len(arguments) in (1, 2):
            return self._look_up(self.configurations, "launch argument", arguments)
        if name == "env" and len(arguments) in (1, 2):
            variables = {**self.inherited, **self.environment}
            return self._look_up(variables, "environment variable", arguments)
        raise LaunchError(
            f"$({expression}) is not supported; "
            "valid: $(var NAME [DEFAULT]), $(env NAME [DEFAULT]), "
            "$(find-pkg-share NAME), $(dirname)"
        )

    @staticmethod
    def _look_up(values: Mapping[str, str], what: str, arguments: list[str]) -> str:
        if arguments[0] in values:
            return values[arguments[0]]
        if len(arguments) == 2:
            return arguments[1]
        raise LaunchError(f"{what} {arguments[0]!r} is not set")


def _restore(marked: str, values: list[str]) -> str:
    return _MARK.sub(lambda mark: values[int(mark[1])], marked)
