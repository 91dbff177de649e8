"""Ctrl-C and SIGTERM as a flag.

A KeyboardInterrupt in the middle of a call into rclpy's extension module comes out of it as a
SystemError, or not at all: now and then the process dies of it. So programs start rclpy with
``SignalHandlerOptions.NO`` and look at a flag between calls; as the context stays valid, they can
still say goodbye.
"""

from __future__ import annotations

import signal
from types import FrameType


class StopFlag:
    """``requested`` turns true at the first SIGINT or SIGTERM; the second one acts as usual."""

    def __init__(self) -> None:
        self.requested = False

    def install(self) -> StopFlag:
        """Only from the main thread, as Python demands."""
        signal.signal(signal.SIGINT, self._on_signal)
        signal.signal(signal.SIGTERM, self._on_signal)
        return self

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self.requested = True
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
