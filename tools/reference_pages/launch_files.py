"""Launch files: what each starts, and its arguments."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path

from launch_runner.plan import Argument
from launch_runner.resolve import declared_arguments

from .markdown import code, page, table

_HEAD = ("argument", "default", "meaning")


def text(folder: Path) -> str:
    files = sorted(folder.glob("*.launch.xml"))
    intro = (
        "`tools/launch launch/FILE name:=value ...`, or `ros2 launch` with the same words. "
        "Arguments of included files are arguments of the file that includes them."
    )
    return page("Launch files", intro, *(_section(file) for file in files))


def _section(file: Path) -> str:
    comments = ElementTree.TreeBuilder(insert_comments=True)
    root = ElementTree.parse(file, ElementTree.XMLParser(target=comments)).getroot()
    words = next((e.text or "" for e in root if e.tag is ElementTree.Comment), "")
    rows = [
        (code(a.name), code(_default(a)) or "empty", _meaning(a)) for a in declared_arguments(file)
    ]
    return f"## {file.name}\n\n{' '.join(words.split())}\n\n{table(_HEAD, rows)}"


def _default(argument: Argument) -> str:
    if argument.default is None:
        return "required"
    return argument.default.replace("$(dirname)", "launch")


def _meaning(argument: Argument) -> str:
    choices = f" Valid: {', '.join(argument.choices)}." if argument.choices else ""
    return argument.description + choices
