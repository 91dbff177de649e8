"""Helpers for tests that cross processes: free domains, deadlines, child processes."""

from __future__ import annotations

import contextlib
import fcntl
import os
import random
import socket
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from sim_bridge.processes import supervise
from sim_bridge.processes.domains import free_domain_id

__all__ = ["Process", "free_domain_id", "wait_until", "free_tcp_port"]


def wait_until(predicate: Callable[[], Any], timeout_s: float, what: str) -> Any:
    """Poll until ``predicate()`` is true, and return its value. AssertionError when too late."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout_s:g} s: {what}")
        time.sleep(0.01)


class Process:
    """A child process in its own group, with its output in a file, ended on exit.

    ``terminal``: what it prints goes there by way of a terminal of 80 columns.
    """

    _process: supervise.Child  # once it is entered

    def __init__(
        self,
        command: Sequence[object],
        log: Path,
        env: dict[str, str] | None = None,
        terminal: bool = False,
    ) -> None:
        self.command = [str(word) for word in command]
        self.log = Path(log)
        self._env = {**os.environ, **(env or {})}
        self._terminal = terminal

    @classmethod
    def module(
        cls,
        module: str,
        *args: str,
        log: Path,
        env: dict[str, str] | None = None,
        terminal: bool = False,
    ) -> Process:
        """``python -m module args``."""
        return cls([sys.executable, "-m", module, *args], log, env, terminal)

    def __enter__(self) -> Process:
        output = _terminal(self.log) if self._terminal else self.log
        self._process = supervise.start(self.command, output=output, env=self._env)
        if isinstance(output, int):
            os.close(output)
        return self

    def __exit__(self, *_) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def signal(self, number: int) -> None:
        supervise.signal_group(self._process, number)

    def wait(self, timeout_s: float) -> int:
        """Exit status; AssertionError with the output when it does not end in time."""
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(
                f"{self.command} still runs after {timeout_s:g} s:\n{self.output()}"
            ) from None

    def stop(self, timeout_s: float = 10.0) -> int:
        """Ctrl-C, and harder when it has not ended by then; the exit status."""
        patience = supervise.STANDALONE._replace(interrupt_s=timeout_s)
        supervise.end([self._process], patience)
        return self._process.returncode


def free_tcp_port() -> int:
    """A port below those that the system gives to outgoing connections: a client that tries again
    and again to reach a server that is gone can then never connect to itself."""
    for _ in range(100):
        port = random.randrange(20000, 32000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no free TCP port between 20000 and 32000")


def _terminal(log: Path) -> int:
    """A file descriptor for a program; what it shows there goes into ``log``."""
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 24, 80, 0, 0))

    def copy() -> None:
        with open(ours, "rb", buffering=0) as shown, log.open("wb", buffering=0) as file:
            with contextlib.suppress(OSError):  # the last who had it open has closed it
                while chunk := shown.read(65536):
                    file.write(chunk)

    log.touch()
    threading.Thread(target=copy, daemon=True).start()
    return theirs
