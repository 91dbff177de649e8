"""The one way to start, watch and end child processes.

Standard library only: tools/launch and the agent of a RemoteHost run where nothing else is
installed.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, NamedTuple

PIPE = subprocess.PIPE
_POLL_S = 0.02
_PR_SET_PDEATHSIG = 1
# Loaded here: between fork and exec, a child of a program with threads must not import.
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None

Child = subprocess.Popen[bytes]


class Patience(NamedTuple):
    """Seconds to wait after SIGINT, after SIGTERM and after SIGKILL."""

    interrupt_s: float
    terminate_s: float
    kill_s: float = 5.0


# From the inside out: who ends a process leaves it the time to end its own ones first.
NESTED = Patience(1.6, 0.5)
LAUNCHED = Patience(1.8, 0.7)
SESSION = Patience(5.0, 2.0)
STANDALONE = Patience(10.0, 2.0)
REMOTE = Patience(20.0, 20.0, 20.0)


def start(
    command: Sequence[str | Path],
    *,
    output: Path | int | None = None,
    stdin: int = subprocess.DEVNULL,
    env: Mapping[str, str] | None = None,
    cwd: str | Path | None = None,
    tied: bool = True,
) -> Child:
    """A child that leads a process group of its own: Ctrl-C in the terminal is for us, who end it
    in order.

    ``output``: a file for what it prints, ``PIPE``, or None for where this process prints.
    ``tied``: on Linux it gets SIGTERM when the thread that started it ends, however that happens.
    """
    with output.open("wb") if isinstance(output, Path) else contextlib.nullcontext(output) as out:
        return subprocess.Popen(
            [str(word) for word in command],
            stdin=stdin,
            stdout=out,
            stderr=None if out is None else subprocess.STDOUT,
            env=env,
            cwd=cwd,
            start_new_session=True,
            preexec_fn=_tie if tied else None,
        )


def _tie() -> None:
    # A shell's background job, and all that it starts, would ignore Ctrl-C.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if _LIBC:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def first_to_end(children: Iterable[Child], stop: Callable[[], bool]) -> Child | None:
    """Wait for the first to end, and kill what it left in its group; None once ``stop()``."""
    while not stop():
        for child in children:
            if child.poll() is not None:
                signal_group(child, signal.SIGKILL)
                return child
        time.sleep(_POLL_S)
    return None


def end(children: Iterable[Child], patience: Patience = STANDALONE, *, asked: bool = False) -> None:
    """End processes and their groups, harder and harder.

    ``asked``: they were asked to end in another way than by SIGINT.
    """
    running = [child for child in children if child.poll() is None]

    def send(number: int) -> None:
        for child in running:
            if number != signal.SIGINT or not asked:
                signal_group(child, number)

    def alive() -> bool:
        for child in list(running):
            if child.poll() is not None:
                running.remove(child)
                signal_group(child, signal.SIGKILL)  # what it left behind
        return bool(running)

    escalate(send, alive, patience)


def escalate(send: Callable[[int], None], alive: Callable[[], bool], patience: Patience) -> None:
    """``send`` SIGINT, SIGTERM, SIGKILL, until nothing is ``alive``."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
    for number, patience_s in zip(numbers, patience, strict=True):
        if not alive():
            return
        send(number)
        deadline = time.monotonic() + patience_s
        while alive() and time.monotonic() < deadline:
            time.sleep(_POLL_S)


def signal_group(child: Child, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, number)


def lines(stream: IO[bytes], rewritten: bool = False) -> Iterator[str]:
    """Lines of a child's output as they come, without their ends.

    Of a line that carriage returns rewrite, the last state; with ``rewritten`` also the states
    before it, which end in a carriage return.
    """
    pending = b""
    while chunk := os.read(stream.fileno(), 65536):
        *whole, pending = (pending + chunk).split(b"\n")
        yield from (_last_state(line).decode(errors="replace") for line in whole)
        if b"\r" in pending:
            latest = _last_state(pending)
            if rewritten:
                yield latest.decode(errors="replace") + "\r"
            pending = b"\r" + latest
    if pending.strip():
        yield _last_state(pending).decode(errors="replace")


def _last_state(line: bytes) -> bytes:
    return line.rstrip(b"\r").rpartition(b"\r")[2]


def exit_status(returncode: int) -> int:
    """What a shell would say: 128 + the signal that ended it."""
    return returncode if returncode >= 0 else 128 - returncode


def describe_status(returncode: int) -> str:
    """``status 3``, or the signal's name."""
    number = exit_status(returncode) - 128
    with contextlib.suppress(ValueError):
        return signal.Signals(number).name
    return f"status {returncode}"
