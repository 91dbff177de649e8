"""One line of the report."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

OK, OPTIONAL, MISSING = "ok", "--", "!!"


@dataclass(frozen=True)
class Finding:
    """``state``: ok, optional and absent, or missing. ``remedy`` is for what is not ok."""

    state: str
    what: str
    value: str
    remedy: str = ""


def found(what: str, value: str) -> Finding:
    return Finding(OK, what, value)


def absent(what: str, value: str, remedy: str) -> Finding:
    """Not there, and only some features need it."""
    return Finding(OPTIONAL, what, value, remedy)


def missing(what: str, value: str, remedy: str) -> Finding:
    """Not there, and the product does not work without it."""
    return Finding(MISSING, what, value, remedy)


def render(findings: Iterable[Finding]) -> str:
    """One aligned line for each finding, remedies below theirs."""
    findings = list(findings)
    width = max((len(f.what) for f in findings), default=0)
    lines = []
    for finding in findings:
        lines.append(f"[{finding.state}] {finding.what:<{width}}  {finding.value}".rstrip())
        if finding.remedy and finding.state != OK:
            lines.append(f"     {'':<{width}}  -> {finding.remedy}")
    return "\n".join(lines)
