"""Command line of tools/reference."""

from __future__ import annotations

import argparse
import difflib
import importlib.util
import os
import sys
from itertools import islice
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDER = "docs/reference"
_DIFF_LINES = 20


def in_workspace(run: Path, program: Path) -> None:
    """Start again in the workspace's Python unless this one is it."""
    if importlib.util.find_spec("sim_bridge") is None:
        os.execv(run, [str(run), "python", str(program), *sys.argv[1:]])


def pages() -> dict[str, str]:
    """File name in docs/reference: its text."""
    from . import commands, interfaces, launch_files, parameters, policy_addresses, topics

    return {
        "commands.md": commands.text(ROOT),
        "launch-files.md": launch_files.text(ROOT / "launch"),
        "messages.md": interfaces.text(ROOT / "src/sim_interfaces"),
        "parameters.md": parameters.text(),
        "policy-addresses.md": policy_addresses.text(),
        "topics.md": topics.text(ROOT / "src"),
    }


def stale(folder: Path, wanted: dict[str, str]) -> dict[str, str]:
    """Each page that differs from what the sources say: the first lines of the difference."""
    found = {}
    for name, text in wanted.items():
        path = folder / name
        old = path.read_text() if path.exists() else ""
        if old != text:
            lines = difflib.unified_diff(
                old.splitlines(), text.splitlines(), name, "the sources", lineterm="", n=0
            )
            found[name] = "\n".join(islice(lines, _DIFF_LINES))
    return found


def main(arguments: list[str] | None = None) -> int:
    """Entry point of tools/reference."""
    parser = argparse.ArgumentParser(
        prog="reference", description="Write docs/reference from the sources."
    )
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit status 1 if a page is stale"
    )
    options = parser.parse_args(arguments)
    folder, wanted = ROOT / FOLDER, pages()
    differences = stale(folder, wanted)
    if options.check:
        for name, difference in differences.items():
            print(f"{FOLDER}/{name} is stale; run `make reference`\n{difference}", file=sys.stderr)
        return 1 if differences else 0
    folder.mkdir(parents=True, exist_ok=True)
    for name in differences:
        (folder / name).write_text(wanted[name])
        print(f"{FOLDER}/{name}")
    return 0
