"""The few pieces of Markdown that the pages are made of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def page(title: str, *blocks: str) -> str:
    """A whole page, which says that it is generated."""
    note = "<!-- Written by `make reference`; edit the sources, not this file. -->"
    return "\n\n".join([note, f"# {title}", *(b for b in blocks if b)]) + "\n"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; empty when it has no rows."""
    lines = [_row(cells) for cells in rows]
    return "\n".join([_row(head), "|---" * len(head) + "|", *lines]) if lines else ""


def code(text: str) -> str:
    """``text`` as code in a line; an empty one stays empty."""
    return f"`{text}`" if text else ""


def block(text: str, language: str = "") -> str:
    return f"```{language}\n{text.strip(chr(10))}\n```"


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(" ".join(c.split()).replace("|", "\\|") for c in cells) + " |"
