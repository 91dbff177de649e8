"""Messages, services and actions of sim_interfaces, with their comments, and result codes."""

from __future__ import annotations

import re
from pathlib import Path

from .markdown import block, code, page, table

_KINDS = {"msg": "Messages", "srv": "Services", "action": "Actions"}
_CODE = re.compile(r"^uint8 (\w+) = (\d+)\s*# (.+)$", re.MULTILINE)


def text(package: Path) -> str:
    """The page of the interface package at ``package``."""
    sections = []
    for kind, title in _KINDS.items():
        sections.append(f"## {title}")
        sections += [_section(file) for file in sorted((package / kind).glob(f"*.{kind}"))]
    codes = _CODE.findall((package / "msg/Result.msg").read_text())
    errors = _errors()
    rows = [(number, code(name), errors.get(int(number), ""), why) for name, number, why in codes]
    return page(
        "Messages and result codes",
        "The files of `sim_interfaces`, as `ros2 interface show` prints them. Quaternions are "
        "x y z w; joints and bodies are matched by name.",
        "## Result codes\n\nEvery response begins with a `Result`. Python raises the exception "
        "of `sim_bridge.errors` that stands beside the code.\n\n"
        + table(("code", "name", "exception", "meaning"), rows),
        *sections,
    )


def _errors() -> dict[int, str]:
    from sim_bridge import errors

    classes = [c for c in vars(errors).values() if isinstance(c, type) and "code" in vars(c)]
    return {c.code: code(c.__name__) for c in classes}


def _section(file: Path) -> str:
    return f"### {file.stem}\n\n{block(file.read_text(), 'text')}"
