"""The threads that Isaac Lab starts beside the one that steps: few, and none that spins."""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import sys
from collections.abc import Iterator
from typing import Any

_PR_SET_TIMERSLACK, _PR_GET_TIMERSLACK = 29, 30  # linux/prctl.h
_SLACK_NS = 10_000_000


def use_physx_workers(count: int) -> None:
    """Let the next PhysX have ``count`` workers: ``isaaclab_ov`` asks for 8 on any machine."""
    import ovphysx

    original = getattr(ovphysx.PhysXConfig, "original", ovphysx.PhysXConfig)

    def configure(**settings: Any) -> Any:
        return dataclasses.replace(original(**settings), num_threads=count)

    vars(configure)["original"] = original
    ovphysx.PhysXConfig = configure


@contextlib.contextmanager
def late_timers() -> Iterator[None]:
    """Threads that are started within it, by this one, wake up to 10 ms late from timed sleeps.

    PhysX's cache of colliders sleeps a microsecond at a time, also when there is nothing to do,
    which takes a quarter of a core for as long as the process lives. A thread inherits the timer
    slack of the one that starts it (``man 2 prctl``).
    """
    if sys.platform != "linux":
        yield
        return
    prctl = ctypes.CDLL(None).prctl
    own_ns = prctl(_PR_GET_TIMERSLACK)
    prctl(_PR_SET_TIMERSLACK, ctypes.c_ulong(_SLACK_NS))
    try:
        yield
    finally:
        prctl(_PR_SET_TIMERSLACK, ctypes.c_ulong(own_ns))
