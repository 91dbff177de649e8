"""The contact sheet: a frame of each demo with a caption, as one picture."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from .table import DEMOS, ROOT, Demo, run, summary

_COLUMNS = 4
_WIDTH, _HEIGHT, _CAPTION = 320, 240, 34
_TIMEOUT_S = 300.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of tools/contact_sheet."""
    parser = argparse.ArgumentParser(
        prog="contact_sheet", description="Run each demo for some steps and draw their last frames."
    )
    parser.add_argument("--steps", type=int, default=25, help="of each episode (default: 25)")
    parser.add_argument("--output", type=Path, default=ROOT / "docs/images/simulators.png")
    options = parser.parse_args(arguments)
    shots = []
    for demo in DEMOS:
        if missing := demo.missing():
            print(f"left out: {missing}", file=sys.stderr)
            continue
        print(demo.name or "the default", file=sys.stderr)
        with tempfile.TemporaryDirectory() as folder:
            status, text = run(demo, Path(folder), options.steps, _TIMEOUT_S)
            if status not in (0, 1):
                print(text, file=sys.stderr)
                return status
            shots.append((captions(demo, summary(Path(folder))), picture(Path(folder))))
    draw(shots).save(options.output, optimize=True)
    print(options.output)
    return 0


def picture(output: Path):
    from PIL import Image

    (path,) = output.glob("*/final.png")
    return Image.open(path).convert("RGB").resize((_WIDTH, _HEIGHT), Image.Resampling.LANCZOS)


def captions(demo: Demo, content: dict) -> tuple[str, str]:
    return (
        f"{content['task']} in {content['simulator']}",
        f"policy {(demo.policy or 'trained').split(':')[0]}",
    )


def draw(shots: Sequence[tuple[tuple[str, str], object]]):
    """A picture of ``_COLUMNS`` shots a row, in few colours: it is part of the repository."""
    from PIL import Image, ImageDraw

    rows = -(-len(shots) // _COLUMNS)
    sheet = Image.new("RGB", (_COLUMNS * _WIDTH, rows * (_HEIGHT + _CAPTION)), "white")
    pen = ImageDraw.Draw(sheet)
    for i, (lines, image) in enumerate(shots):
        x, y = i % _COLUMNS * _WIDTH, i // _COLUMNS * (_HEIGHT + _CAPTION)
        sheet.paste(image, (x, y))
        pen.text((x + 6, y + _HEIGHT + 3), "\n".join(lines), fill="black", font_size=12)
    return sheet.quantize(256)
