"""Runs the processes of a plan until a required one ends, all have ended, or a signal comes."""

from __future__ import annotations

import contextlib
import ctypes
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from typing import BinaryIO

from . import shared_memory
from .plan import LaunchError, Process

# After the request to end, in seconds; everything is gone before 3 s.
SIGTERM_AFTER_S = 1.8
SIGKILL_AFTER_S = 2.5
_PR_SET_PDEATHSIG = 1


class Supervisor:
    """One run of some processes. Every one leads a process group of its own."""

    def __init__(self, processes: Sequence[Process], variables: Mapping[str, str]) -> None:
        self._processes = processes
        self._variables = variables
        self._running: dict[int, subprocess.Popen[bytes]] = {}
        self._ended: queue.Queue[int] = queue.Queue()
        self._readers: list[threading.Thread] = []
        self._print_lock = threading.Lock()
        self._signal: int | None = None
        self._failed = 0

    def run(self) -> int:
        """Exit status: that of the process whose end ended all, or 128 + signal."""
        before = shared_memory.present()
        handled = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        previous = {number: signal.signal(number, self._on_signal) for number in handled}
        try:
            status = self._start_and_watch()
        finally:
            self._stop()
            for number, handler in previous.items():
                signal.signal(number, handler)
            shared_memory.remove_litter(before)
        return 128 + self._signal if self._signal else status

    def _on_signal(self, number: int, _frame: object) -> None:
        self._signal = self._signal or number

    def _start_and_watch(self) -> int:
        for index, process in enumerate(self._processes):
            if self._signal:
                return 0
            self._start(index, process)
        while self._running and not self._signal:
            with contextlib.suppress(queue.Empty):
                index = self._ended.get(timeout=0.1)
                status = self._reap(index)
                process = self._processes[index]
                if process.required:
                    self._say(f"{process.name} ended: shutting down")
                    return status
                self._failed = self._failed or status
        return self._failed

    def _start(self, index: int, process: Process) -> None:
        try:
            child = subprocess.Popen(
                process.command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                cwd=process.working_directory,
                env={**self._variables, "PYTHONUNBUFFERED": "1", **process.environment},
                start_new_session=True,
                preexec_fn=_end_with_parent,
            )
        except OSError as error:
            raise LaunchError(f"{process.name}: {error}") from None
        self._running[index] = child
        self._say(f"{process.name} started, pid {child.pid}")
        assert child.stdout is not None
        for target, arguments in (
            (self._forward, (f"[{process.name}] ", child.stdout)),
            (self._await_end, (index, child)),
        ):
            thread = threading.Thread(target=target, args=arguments, daemon=True)
            thread.start()
            if target == self._forward:
                self._readers.append(thread)

    def _await_end(self, index: int, child: subprocess.Popen[bytes]) -> None:
        child.wait()
        self._ended.put(index)

    def _reap(self, index: int) -> int:
        child = self._running.pop(index)
        _signal_group(child.pid, signal.SIGKILL)  # what it left in its group
        status = child.returncode
        if status:
            how = f"status {status}" if status > 0 else signal.Signals(-status).name
            self._say(f"{self._processes[index].name} ended with {how}")
        return status if status >= 0 else 128 - status

    def _stop(self) -> None:
        start = time.monotonic()
        escalation = [
            (0.0, signal.SIGINT),
            (SIGTERM_AFTER_S, signal.SIGTERM),
            (SIGKILL_AFTER_S, signal.SIGKILL),
        ]
        while self._running:
            if escalation and time.monotonic() - start >= escalation[0][0]:
                number = escalation.pop(0)[1]
                for child in self._running.values():
                    _signal_group(child.pid, number)
            with contextlib.suppress(queue.Empty):
                index = self._ended.get(timeout=0.05)
                _signal_group(self._running.pop(index).pid, signal.SIGKILL)
        for reader in self._readers:
            reader.join(timeout=0.5)

    def _forward(self, prefix: str, stream: BinaryIO) -> None:
        """Print the output by lines; a line rewritten with a carriage return only on a terminal."""
        terminal = sys.stdout.isatty()
        pending = b""
        while chunk := os.read(stream.fileno(), 65536):
            *lines, pending = (pending + chunk).split(b"\n")
            for line in lines:
                self._write(prefix, line.rstrip(b"\r").rpartition(b"\r")[2], "\n")
            if b"\r" in pending:
                latest = pending.rstrip(b"\r").rpartition(b"\r")[2]
                if terminal:
                    self._write(prefix, latest, "\r")
                pending = b"\r" + latest
        if pending.strip():
            self._write(prefix, pending.rpartition(b"\r")[2], "\n")

    def _write(self, prefix: str, line: bytes, end: str) -> None:
        clear = "\x1b[K" if sys.stdout.isatty() else ""
        with self._print_lock:
            sys.stdout.write(f"{prefix}{line.decode(errors='replace')}{clear}{end}")
            sys.stdout.flush()

    def _say(self, text: str) -> None:
        self._write("[launch] ", text.encode(), "\n")


def _end_with_parent() -> None:
    """In the child: end when the launcher is killed, which it cannot handle."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _signal_group(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)
