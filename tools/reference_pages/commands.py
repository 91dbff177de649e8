"""Command lines: the parser of each program, caught when it is about to read its words."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import runpy
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NoReturn
from unittest import mock

from .markdown import code, page, table

PACKAGES = ("sim_bridge", "policy_node", "mujoco_mirror")
TOOLS = ("launch", "run", "setup")
_HEAD = ("argument", "default", "meaning")


class _Caught(BaseException):
    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self.parser = parser


def text(root: Path) -> str:
    """The page of all console scripts and of the programs in tools/."""
    _do_without_torch()
    blocks = [
        "`ros2 run PACKAGE PROGRAM`, or `tools/run install/PACKAGE/lib/PACKAGE/PROGRAM` without "
        "ROS 2. Nodes also take `--ros-args` with their [parameters](parameters.md)."
    ]
    for package in PACKAGES:
        blocks.append(f"## {package}")
        for name, target in sorted(_scripts(root / "src" / package)):
            blocks.append(_section(name, caught(_loaded(target))))
    blocks.append("## tools")
    for name in TOOLS:
        parser = caught(partial(runpy.run_path, str(root / "tools" / name), run_name="__main__"))
        blocks.append(_section(f"tools/{name}", parser))
    return page("Command lines", *blocks)


def _do_without_torch() -> None:
    """Programs that need it are read where it is not installed."""
    torch = mock.MagicMock()
    torch.nn.Module = object
    sys.modules |= {"torch": torch, "torch.nn": torch.nn}


def caught(run: Callable[[], Any]) -> argparse.ArgumentParser:
    """The parser that ``run()`` would read the command line with; nothing after that runs."""

    def stop(parser: argparse.ArgumentParser, *_: Any, **__: Any) -> NoReturn:
        raise _Caught(parser)

    with (
        mock.patch.object(argparse.ArgumentParser, "parse_known_args", stop),
        mock.patch.object(argparse.ArgumentParser, "parse_known_intermixed_args", stop),
        mock.patch.object(sys, "argv", ["program"]),
        contextlib.redirect_stdout(io.StringIO()),
    ):
        try:
            run()
        except _Caught as found:
            return found.parser
    raise RuntimeError(f"{run} ended without reading its command line with argparse")


def _scripts(source: Path) -> list[tuple[str, str]]:
    """Name and target of each console script that the package's setup.py declares."""
    with mock.patch("setuptools.setup") as setup, contextlib.chdir(source):
        runpy.run_path("setup.py")
    lines = setup.call_args.kwargs["entry_points"]["console_scripts"]
    return [tuple(part.strip() for part in line.split("=")) for line in lines]


def _loaded(target: str) -> Callable[[], Any]:
    module, _, function = target.partition(":")
    return lambda: getattr(importlib.import_module(module), function)()


def _section(name: str, parser: argparse.ArgumentParser) -> str:
    rows = [_row(action) for action in parser._actions if action.dest != "help"]
    words = " ".join((parser.description or "").replace("``", "`").split())
    return f"### {name}\n\n{words}\n\n{table(_HEAD, rows)}".rstrip()


def _row(action: argparse.Action) -> tuple[str, str, str]:
    value = action.metavar or (action.dest.upper() if action.option_strings else action.dest)
    value = " ".join(value) if isinstance(value, tuple) else value
    words = ", ".join(action.option_strings) or value
    if action.option_strings and action.nargs != 0:
        words += f" {value}"
    meaning = (action.help or "") % {"default": action.default, "prog": ""}
    if action.choices:
        meaning += f"; one of {', '.join(map(str, action.choices))}"
    return code(words), _default(action), meaning.lstrip("; ")


def _default(action: argparse.Action) -> str:
    if action.required and action.nargs not in ("*", argparse.REMAINDER):
        return "required"
    is_none = action.default is None or action.default is False or action.default == []
    return "" if is_none or action.default == argparse.SUPPRESS else code(str(action.default))
