"""Runs the processes of a plan until a required one ends, all have ended, or a signal comes."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Mapping, Sequence

from sim_bridge.processes import supervise

from . import shared_memory
from .plan import LaunchError, Process


class Supervisor:
    """One run of some processes."""

    def __init__(self, processes: Sequence[Process], variables: Mapping[str, str]) -> None:
        self._processes = processes
        self._variables = variables
        self._running: dict[supervise.Child, Process] = {}
        self._readers: list[threading.Thread] = []
        self._print_lock = threading.Lock()
        self._signal: int | None = None

    def run(self) -> int:
        """Exit status: that of the process whose end ended all, or 128 + signal."""
        before = shared_memory.present()
        handled = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        previous = {number: signal.signal(number, self._on_signal) for number in handled}
        try:
            status = self._start_and_watch()
        finally:
            supervise.end(self._running, supervise.LAUNCHED)
            for reader in self._readers:
                reader.join(timeout=0.5)
            for number, handler in previous.items():
                signal.signal(number, handler)
            shared_memory.remove_litter(before)
        return 128 + self._signal if self._signal else status

    def _on_signal(self, number: int, _frame: object) -> None:
        self._signal = self._signal or number

    def _start_and_watch(self) -> int:
        for process in self._processes:
            if self._signal:
                return 0
            self._start(process)
        failed = 0
        while self._running:
            child = supervise.first_to_end(self._running, lambda: bool(self._signal))
            if child is None:
                return 0
            process = self._running.pop(child)
            if child.returncode:
                how = supervise.describe_status(child.returncode)
                self._say(f"{process.name} ended with {how}")
            status = supervise.exit_status(child.returncode)
            if process.required:
                self._say(f"{process.name} ended: shutting down")
                return status
            failed = failed or status
        return failed

    def _start(self, process: Process) -> None:
        try:
            child = supervise.start(
                process.command,
                output=supervise.PIPE,
                cwd=process.working_directory,
                env={**self._variables, "PYTHONUNBUFFERED": "1", **process.environment},
            )
        except OSError as error:
            raise LaunchError(f"{process.name}: {error}") from None
        self._running[child] = process
        self._say(f"{process.name} started, pid {child.pid}")
        reader = threading.Thread(target=self._forward, args=(process.name, child), daemon=True)
        reader.start()
        self._readers.append(reader)

    def _forward(self, name: str, child: supervise.Child) -> None:
        """Print the output by lines; a line rewritten with a carriage return only on a terminal."""
        assert child.stdout is not None
        for line in supervise.lines(child.stdout, rewritten=sys.stdout.isatty()):
            self._write(f"[{name}] {line}")

    def _write(self, line: str) -> None:
        clear = "\x1b[K" if sys.stdout.isatty() else ""
        text = f"{line[:-1]}{clear}\r" if line.endswith("\r") else f"{line}{clear}\n"
        with self._print_lock:
            sys.stdout.write(text)
            sys.stdout.flush()

    def _say(self, text: str) -> None:
        self._write(f"[launch] {text}")
