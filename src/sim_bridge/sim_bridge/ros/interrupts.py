"""Ctrl-C and SIGTERM, at times when they do no harm.

A KeyboardInterrupt in the middle of a call into rclpy's extension module comes out of it as a
SystemError, or not at all: now and then the process dies of it. So programs start rclpy with
``SignalHandlerOptions.NO`` and look at a flag between calls; as the context stays valid, they can
still say goodbye. In the scripts of users, where Ctrl-C raises, it waits for the call's end.
"""

from __future__ import annotations

# What ``signal`` wraps in conversions to enums and back: eight times the cost, on each step's way.
import _signal
import signal
import threading
from types import FrameType

_SIGINT = int(signal.SIGINT)


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


class DeferredInterrupt:
    """Holds a KeyboardInterrupt back until the block's end; ``pressed`` says that one waits.

    Does nothing in other threads, and where Ctrl-C does not raise.
    """

    def __enter__(self) -> DeferredInterrupt:
        self.pressed = False
        self._holds = (
            threading.current_thread() is threading.main_thread()
            and _signal.getsignal(_SIGINT) is signal.default_int_handler
        )
        if self._holds:
            _signal.signal(_SIGINT, self._on_signal)
        return self

    def __exit__(self, *_: object) -> None:
        if self._holds:
            _signal.signal(_SIGINT, signal.default_int_handler)
            if self.pressed:
                raise KeyboardInterrupt

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self.pressed = True
