"""The near side's hold on an agent: a child process, its log, and a steady sign of life."""

from __future__ import annotations

import collections
import json
import shlex
import threading
from collections.abc import Callable, Sequence
from typing import Any

from sim_bridge.errors import OperationFailed, TimedOut
from sim_bridge.processes import supervise
from sim_bridge.remote.agent import EVENT, HEARTBEAT_S

_SSH_FAILED = 255
_TAIL_LINES = 20
# A shared connection would outlive its command, and the tunnel with it.
_SSH_OPTIONS = {
    "BatchMode": "yes",
    "ControlMaster": "no",
    "ControlPath": "none",
    "ConnectTimeout": "15",
    "ExitOnForwardFailure": "yes",
    "ServerAliveInterval": "5",
    "ServerAliveCountMax": "3",
}


class RemoteHostError(OperationFailed):
    """What was started on the other host could not start, or has ended; ends with its last
    lines."""


class HostUnreachable(RemoteHostError):
    """ssh could not connect, or the connection broke."""


class BridgeDied(RemoteHostError):
    """The launch on the other host ended."""


def agent_command(
    host: str,
    workspace: str,
    source: str,
    arguments: Sequence[str],
    ssh_options: Sequence[str] = (),
    port: int = 0,
) -> list[str]:
    """The command that runs an agent in ``workspace`` on ``host``, here when that is empty."""
    script = ["bash", "-c", _script(workspace, source, arguments)]
    if not host:
        return script
    command = ["ssh", "-T", *ssh_options]
    for name, value in _SSH_OPTIONS.items():
        command += ["-o", f"{name}={value}"]
    if port:
        command += ["-L", f"127.0.0.1:{port}:127.0.0.1:{port}"]
    return [*command, "--", host, "exec " + shlex.join(script)]


def _script(workspace: str, source: str, arguments: Sequence[str]) -> str:
    folder, words = _path(workspace), shlex.join(arguments)
    agent = "-m sim_bridge.remote.agent"
    lines = [
        f"cd -- {folder} || exit 66",
        "if [ ! -x tools/run ]; then",
        '  echo "$PWD is not a Twinstep workspace: tools/run is missing" >&2; exit 66',
        "fi",
    ]
    if source:
        lines += [
            f"source {_path(source)} || exit 66",
            f"TWINSTEP_SOURCED=1 exec python3 {agent} {words}",
        ]
    else:
        lines.append(f"exec tools/run python {agent} {words}")
    return "\n".join(lines)


def _path(path: str) -> str:
    """Quoted, with the home folder of whoever runs the script for a leading ``~``."""
    head, separator, rest = path.partition("/")
    if head == "~":
        return f'"$HOME"{separator}{shlex.quote(rest) if rest else ""}'
    return shlex.quote(path)


class Connection:
    """Runs an agent's command. Its log lines go to ``on_log``, from a thread.

    The agent ends when this process does, however that happens: its input closes.
    """

    def __init__(self, command: Sequence[str], where: str, on_log: Callable[[str], None]) -> None:
        self._where = where
        self._on_log = on_log
        self._lines: collections.deque[str] = collections.deque(maxlen=_TAIL_LINES)
        self._events: dict[str, dict[str, Any]] = {}
        self._changed = threading.Condition()
        self._closing = threading.Event()
        self._over = False
        # Not tied: the thread that makes a RemoteHost may end before it.
        self._process = supervise.start(
            command, output=supervise.PIPE, stdin=supervise.PIPE, tied=False
        )
        self._threads = [
            threading.Thread(target=target, name="remote_host", daemon=True)
            for target in (self._read, self._beat)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait_for(self, *names: str, timeout_s: float) -> dict[str, Any]:
        """The first of these events; RemoteHostError when the agent ends without one."""
        with self._changed:
            self._changed.wait_for(lambda: self._over or self._first(names), timeout_s)
            event = self._first(names)
        if event is not None:
            return event
        self.check()
        raise TimedOut(self._told(f"{self._where} did not answer within {timeout_s:g} s"))

    def check(self) -> None:
        """Raise what ended the agent or its launch, if something did."""
        with self._changed:
            ended = self._events.get("ended")
            if not self._over and ended is None:
                return
        if ended is not None:
            how = supervise.describe_status(ended["status"])
            raise BridgeDied(self._told(f"the launch on {self._where} ended with {how}"))
        status = self._process.wait()
        if status == _SSH_FAILED or status < 0:
            raise HostUnreachable(self._told(f"no ssh connection to {self._where}"))
        raise RemoteHostError(self._told(f"could not start on {self._where} (status {status})"))

    def close(self) -> None:
        """Ask the agent to end, wait for that, and insist. Safe to call twice."""
        self._closing.set()
        if self._process.stdin is not None and not self._process.stdin.closed:
            try:
                self._process.stdin.close()
            except OSError:
                pass
        supervise.end([self._process], supervise.REMOTE, asked=True)
        for thread in self._threads:
            thread.join(timeout=5.0)

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as stream:
            for line in map(str.rstrip, supervise.lines(stream)):
                if line.startswith(EVENT):
                    self._note(json.loads(line[len(EVENT) :]))
                elif line:
                    self._lines.append(line)
                    self._on_log(line)
        with self._changed:
            self._over = True
            self._changed.notify_all()

    def _note(self, event: dict[str, Any]) -> None:
        with self._changed:
            self._events[event["event"]] = event
            self._changed.notify_all()

    def _beat(self) -> None:
        stdin = self._process.stdin
        assert stdin is not None
        while not self._closing.wait(HEARTBEAT_S):
            try:
                stdin.write(b"\n")
                stdin.flush()
            except (OSError, ValueError):
                return

    def _first(self, names: Sequence[str]) -> dict[str, Any] | None:
        return next((self._events[name] for name in names if name in self._events), None)

    def _told(self, text: str) -> str:
        return "\n  ".join([f"{text}; its last lines:", *self._lines]) if self._lines else text
