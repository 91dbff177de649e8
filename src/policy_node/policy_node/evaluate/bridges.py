"""Simulator bridges of our own: one process per environment, on this machine."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from sim_bridge.errors import OperationFailed

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None
_LOG_TAIL = 15


class LocalBridges:
    """Starts ``count`` bridges in the namespaces ``env_0`` ... and stops them on exit.

    They end with this process, however it ends. Each writes its output to
    ``logs/env_N.log``. Start them from the main thread: on Linux a child that is tied to its
    parent is tied to the thread that started it.
    """

    def __init__(
        self, count: int, task: str, simulator: str, task_options: str, domain_id: int, logs: Path
    ) -> None:
        self.namespaces = tuple(f"env_{i}" for i in range(count))
        self.domain_id = domain_id
        self._logs = logs
        self._parameters = {"simulator": simulator, "task": task, "task_options": task_options}
        self._processes: list[subprocess.Popen] = []

    def __enter__(self) -> LocalBridges:
        self._logs.mkdir(parents=True, exist_ok=True)
        try:
            for namespace in self.namespaces:
                self._processes.append(self._start(namespace))
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_) -> None:
        self.stop()

    @property
    def pids(self) -> tuple[int, ...]:
        return tuple(p.pid for p in self._processes)

    def check(self) -> None:
        """OperationFailed with the end of its log when a bridge has died."""
        for namespace, process in zip(self.namespaces, self._processes, strict=True):
            if process.poll() is not None:
                lines = self._log(namespace).read_text(errors="replace").splitlines()
                tail = "\n".join(lines[-_LOG_TAIL:])
                raise OperationFailed(
                    f"the bridge {namespace} ended with status {process.returncode}:\n{tail}"
                )

    def stop(self, timeout_s: float = 10.0) -> None:
        for process in self._processes:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
        for process in self._processes:
            try:
                process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._processes.clear()

    def _log(self, namespace: str) -> Path:
        return self._logs / f"{namespace}.log"

    def _start(self, namespace: str) -> subprocess.Popen:
        with self._log(namespace).open("wb") as log:
            return subprocess.Popen(
                self._command(namespace),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, "ROS_DOMAIN_ID": str(self.domain_id)},
                # Ctrl-C in the terminal is ours to handle, in order.
                start_new_session=True,
                preexec_fn=_end_with_parent if _LIBC else None,
            )

    def _command(self, namespace: str) -> Sequence[str]:
        command = [
            sys.executable,
            "-m",
            "sim_bridge",
            "--ros-args",
            "-r",
            f"__ns:=/{namespace}",
        ]
        for name, value in self._parameters.items():
            if value:
                # Quoted: a value such as {"a": 1} would otherwise be read as YAML.
                command += ["-p", f"{name}:='{value}'"]
        return command


def _end_with_parent() -> None:
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
