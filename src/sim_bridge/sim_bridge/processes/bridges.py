"""Several bridges with the same parameters, each a process in a namespace of its own."""

from __future__ import annotations

import argparse
import ctypes
import signal
import subprocess
import sys
import time
from collections.abc import Sequence

from sim_bridge.names import namespaces
from sim_bridge.ros.interrupts import StopFlag

_POLL_S = 0.1
_PR_SET_PDEATHSIG = 1
_NAMESPACE = "__ns:="
# tools/launch kills what has not ended 2.5 s after its request.
_ESCALATION = ((signal.SIGINT, 1.6), (signal.SIGTERM, 0.5), (signal.SIGKILL, 5.0))


def commands(count: int, prefix: str, ros_args: Sequence[str]) -> list[list[str]]:
    """One per bridge: ``ros_args`` as they are, with the namespaces below theirs."""
    found = [word for word in ros_args if word.startswith(_NAMESPACE)]
    base = found[-1][len(_NAMESPACE) :].rstrip("/") if found else ""
    program = [sys.executable, "-m", "sim_bridge", *(ros_args or ["--ros-args"])]
    # Of several rules for the namespace, the first one counts.
    at = program.index("--ros-args") + 1
    return [
        [*program[:at], "-r", f"{_NAMESPACE}{base}/{name}", *program[at:]]
        for name in namespaces(count, prefix)
    ]


class Bridges:
    """Child processes; they end with this one, however it ends."""

    def __init__(self, children: Sequence[Sequence[str]]) -> None:
        self._commands = children
        self._running: list[subprocess.Popen[bytes]] = []

    def run(self, stop: StopFlag) -> int:
        """Until asked to stop (0) or until one has ended: its status, and no other goes on."""
        try:
            for command in self._commands:
                self._running.append(_start(command))
            while not stop.requested:
                ended = [p.returncode for p in self._running if p.poll() is not None]
                if ended:
                    print(f"bridges: one ended with status {ended[0]}", file=sys.stderr)
                    return ended[0] if ended[0] >= 0 else 128 - ended[0]
                time.sleep(_POLL_S)
            return 0
        finally:
            self._stop()

    def _stop(self) -> None:
        for number, patience_s in _ESCALATION:
            deadline = time.monotonic() + patience_s
            for process in self._running:
                if process.poll() is None:
                    process.send_signal(number)
            while time.monotonic() < deadline and any(p.poll() is None for p in self._running):
                time.sleep(0.02)


def _start(command: Sequence[str]) -> subprocess.Popen[bytes]:
    # In a session of its own: one request to end reaches it, by us.
    return subprocess.Popen(
        command, stdin=subprocess.DEVNULL, start_new_session=True, preexec_fn=_end_with_parent
    )


def _end_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def main(args: Sequence[str] | None = None) -> int:
    words = list(sys.argv[1:] if args is None else args)
    split = words.index("--ros-args") if "--ros-args" in words else len(words)
    parser = argparse.ArgumentParser(
        prog="bridges", description=__doc__, epilog="ROS arguments are those of each sim_bridge."
    )
    parser.add_argument("--count", type=int, default=2)
    parser.add_argument("--prefix", default="env_", help="namespaces are PREFIX0, PREFIX1, ...")
    given = parser.parse_args(words[:split])
    if given.count < 1:
        parser.error(f"--count is {given.count}; valid: 1 or more")
    stop = StopFlag().install()
    return Bridges(commands(given.count, given.prefix, words[split:])).run(stop)


if __name__ == "__main__":
    sys.exit(main())
