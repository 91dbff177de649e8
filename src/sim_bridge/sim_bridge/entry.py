"""How programs begin and end: entry points, and what becomes of an error."""

from __future__ import annotations

import importlib
import os
import signal
import sys
from collections.abc import Callable
from types import FrameType

from sim_bridge.errors import BridgeError, Canceled

FAILED, INTERRUPTED = 2, 130


def entry(module: str) -> Callable[[], int]:
    """``module``'s ``main()``, with errors as of ``exit_status``; Ctrl-C ends the imports, which
    take a second, without a trace."""

    def main() -> int:
        before = signal.signal(signal.SIGINT, _leave)
        loaded = importlib.import_module(module)
        signal.signal(signal.SIGINT, before)
        return exit_status(os.path.basename(sys.argv[0]), loaded.main)

    return main


def _leave(number: int, frame: FrameType | None) -> None:
    os._exit(INTERRUPTED)


def exit_status(name: str, work: Callable[[], int | None], interrupted: str = "") -> int:
    """What ``work`` returns; its errors, and Ctrl-C, become one line and an exit status."""
    try:
        return work() or 0
    except BridgeError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return INTERRUPTED if isinstance(error, Canceled) else FAILED
    except KeyboardInterrupt:
        if interrupted:
            print(f"{name}: {interrupted}", file=sys.stderr)
        return INTERRUPTED


sim_bridge = entry("sim_bridge.bridge.node")
bridges = entry("sim_bridge.processes.bridges")
replay = entry("sim_bridge.trajectories.replay_command")
replay_server = entry("sim_bridge.trajectories.replay_node")
