"""One bound for all that an inference waits for: retries, reconnects, a server that drips."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator


class Deadline:
    """``bound_s`` seconds from now; a bound of 0 or less is over at once."""

    def __init__(self, bound_s: float) -> None:
        self.bound_s = bound_s
        self._end = time.monotonic() + bound_s

    def __str__(self) -> str:
        return f"{round(self.bound_s, 2):g} s"

    @property
    def left_s(self) -> float:
        """Seconds until then, never negative: what to give to a call that takes a time-out."""
        return max(0.0, self._end - time.monotonic())

    @property
    def is_over(self) -> bool:
        return self.left_s <= 0

    def within(self, bound_s: float) -> Deadline:
        """The earlier one of this deadline and ``bound_s`` seconds from now."""
        return Deadline(min(bound_s, self.left_s))

    @contextlib.contextmanager
    def cutting(self, connection: socket.socket) -> Iterator[None]:
        """Shut ``connection`` down when time is up: for a library whose time-out begins anew with
        every byte. What it then raises, or returns, is to be judged by ``is_over``."""
        timer = threading.Timer(self.left_s, _shut_down, (connection,))
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()


def _shut_down(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):  # closed already
        connection.shutdown(socket.SHUT_RDWR)
