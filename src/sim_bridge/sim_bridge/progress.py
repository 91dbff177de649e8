"""How far a stage of a program is: a bar on a terminal, plain lines elsewhere.

What is no terminal gets one line at the end of each stage and, in a long one, one each minute:
a log file holds no carriage returns.
"""

from __future__ import annotations

import operator
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from typing import TextIO, TypeVar

from tqdm import tqdm

_LINE_EVERY_S = 60.0
Item = TypeVar("Item")


class Stage:
    """Counts the items of one stage; a context manager, usable from several threads.

    ``unit`` is the word for one item. ``total`` items are expected, 0: nobody knows
    how many; ``done`` of them were there before. The bar is cleared at the end unless ``keep``.
    """

    def __init__(
        self,
        name: str,
        unit: str,
        total: int = 0,
        *,
        done: int = 0,
        keep: bool = True,
        stream: TextIO | None = None,
    ) -> None:
        self._name, self._unit, self._total = name, unit, total
        self._stream = stream or sys.stderr
        self.count, self._figures = done, ""
        self._lock = threading.Lock()
        self._started = self._said = time.monotonic()
        self._bar = None
        if self._stream.isatty():
            self._bar = tqdm(
                desc=name, unit=unit, total=total or None, initial=done, leave=keep,
                file=self._stream,
            )  # fmt: skip

    def __enter__(self) -> Stage:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()
        else:
            self._say(f"{self.count} {self._unit}{'s' if self.count != 1 else ''}")

    def advance(self, **figures: object) -> None:
        """One more item; ``figures`` are shown beside the count."""
        with self._lock:
            self._show(self.count + 1, figures)

    def reach(self, count: int, **figures: object) -> None:
        """``count`` items in all."""
        with self._lock:
            self._show(count, figures)

    def _show(self, count: int, figures: dict[str, object]) -> None:
        added, self.count = count - self.count, count
        if figures:
            self._figures = "".join(f", {name} {value}" for name, value in figures.items())
        if self._bar is not None:
            if figures:
                self._bar.set_postfix_str(self._figures[2:], refresh=False)
            self._bar.update(added)
        elif time.monotonic() - self._said >= _LINE_EVERY_S:
            self._say(f"{self._unit} {count}{f'/{self._total}' if self._total else ''}")

    def _say(self, how_far: str) -> None:
        self._said = time.monotonic()
        passed_s = self._said - self._started
        text = f"{self._name}: {how_far} in {passed_s:.1f} s{self._figures}"
        print(text, file=self._stream, flush=True)


def track(
    items: Iterable[Item], name: str, unit: str, total: int = 0, *, keep: bool = True
) -> Iterator[Item]:
    """The ``items``, each counted once it is done with."""
    with Stage(name, unit, total or operator.length_hint(items), keep=keep) as stage:
        for item in items:
            yield item
            stage.advance()
