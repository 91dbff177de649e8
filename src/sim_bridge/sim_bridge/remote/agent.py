"""The far side of ``RemoteHost``: runs a launch file for as long as the near side is there.

``python -m sim_bridge.remote.agent [--port P] --domain D FILE [name:=value ...]``, in a
workspace. It needs nothing but Python's standard library, and Linux. The launch ends when
standard input closes or stays silent, when a signal comes, or by itself; nothing of it is left
then. Standard output carries the launch's log and, in lines that begin with ``EVENT``, JSON.

What a session started is told by a variable in its environment, so that nothing else is ever
stopped. A marker file, locked while the agent lives, names the session: where the lock is gone
but processes are not, the next agent stops them.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import queue
import select
import shutil
import signal
import socket
import sys
import threading
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from sim_bridge.processes import supervise
from sim_bridge.remote.profiles import PROFILE_VARIABLES, listener_profile

EVENT = "\x1e"
SESSION_VARIABLE = "TWINSTEP_SESSION"
HEARTBEAT_S = 10.0
SILENCE_S = 60.0


def session_folder() -> Path:
    """Where sessions of this user on this machine leave their markers."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "twinstep" / "sessions"


def machine_id() -> str:
    """Tells network namespaces apart: those with the same loopback interface are equal."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{boot} {os.readlink('/proc/self/ns/net')}"


def session_processes(session: str) -> list[int]:
    """Living processes of this user that ``session`` started, directly or not."""
    return [int(path.name) for path in Path("/proc").glob("[0-9]*") if _belongs(path, session)]


def stop_session(session: str) -> int:
    """Stop what is left of a session, harder and harder; how many processes that were."""
    found = session_processes(session)

    def send(number: int) -> None:
        for pid in session_processes(session):
            _send(pid, session, number)

    supervise.escalate(send, lambda: bool(session_processes(session)), supervise.SESSION)
    return len(found)


def _belongs(process: Path, session: str) -> bool:
    wanted = f"{SESSION_VARIABLE}={session}".encode()
    try:
        return wanted in (process / "environ").read_bytes().split(b"\0")
    except OSError:
        return False  # it ended, or belongs to somebody else


def _send(pid: int, session: str, number: int) -> None:
    try:
        handle = os.pidfd_open(pid)
    except OSError:
        return
    try:
        if _belongs(Path("/proc", str(pid)), session):  # the number may be another's by now
            signal.pidfd_send_signal(handle, number)
            signal.pidfd_send_signal(handle, signal.SIGCONT)
    except OSError:
        pass
    finally:
        os.close(handle)


class AgentSession:
    """A marker file with a lock, and all that runs under its name."""

    def __init__(self, folder: Path) -> None:
        self.name = uuid.uuid4().hex
        self._marker = folder / f"{self.name}.session"
        self.profile = folder / f"{self.name}.xml"
        self._lock: IO[bytes] | None = None

    def open(self) -> list[str]:
        """Take the lock; stop sessions whose agent is gone, and return their names."""
        folder = self._marker.parent
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with (folder / ".lock").open("wb") as gate:
            fcntl.flock(gate, fcntl.LOCK_EX)
            stale = [m for m in folder.glob("*.session") if _unlocked(m)]
            self._lock = self._marker.open("wb")
            fcntl.flock(self._lock, fcntl.LOCK_EX)
            stopped = [m.stem for m in stale if stop_session(m.stem)]
            for marker in stale:
                marker.with_suffix(".xml").unlink(missing_ok=True)
                marker.unlink(missing_ok=True)
        return stopped

    def close(self) -> None:
        stop_session(self.name)
        self.profile.unlink(missing_ok=True)
        self._marker.unlink(missing_ok=True)
        if self._lock is not None:
            self._lock.close()


def _unlocked(marker: Path) -> bool:
    with marker.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


class Agent:
    """One launch, watched."""

    def __init__(
        self, session: AgentSession, command: Sequence[str], variables: dict[str, str]
    ) -> None:
        self._session = session
        self._command = command
        self._variables = {**os.environ, **variables, SESSION_VARIABLE: session.name}
        self._over: queue.SimpleQueue[str] = queue.SimpleQueue()

    def run(self) -> int:
        """The exit status of the launch; 0 when it was asked to end."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda *_: self._over.put("signal"))
        process = supervise.start(self._command, output=supervise.PIPE, env=self._variables)
        say("started", session=self._session.name, pid=process.pid)
        for target, argument in ((self._watch_input, None), (self._forward, process)):
            threading.Thread(target=target, args=(argument,), daemon=True).start()
        why = self._over.get()
        if why == "ended":
            say("ended", status=process.wait())
            return process.returncode
        self._session.close()
        process.wait()
        say("stopped", why=why)
        return 0

    def _watch_input(self, _: None) -> None:
        while True:
            ready = select.select([0], [], [], SILENCE_S)[0]
            if not ready or not os.read(0, 4096):
                self._over.put("input closed" if ready else "silence")
                return

    def _forward(self, process: supervise.Child) -> None:
        assert process.stdout is not None
        for line in supervise.lines(process.stdout):
            write(line)
        process.wait()
        self._over.put("ended")


def say(event: str, **details: Any) -> None:
    write(f"{EVENT}{json.dumps({'event': event, **details})}")


def write(line: str) -> None:
    """Nobody may be reading any more; the end of the input says so."""
    try:
        sys.stdout.buffer.write(f"{line}\n".encode())
        sys.stdout.buffer.flush()
    except OSError:
        pass


def _free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _launcher() -> list[str]:
    """The workspace's own runner; ``ros2 launch`` where the workspace was sourced."""
    if os.environ.get("TWINSTEP_SOURCED") and shutil.which("ros2"):
        return ["ros2", "launch"]
    return [sys.executable, "tools/launch"]


def main(args: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="remote_host_agent", description=__doc__.split("\n")[0])
    parser.add_argument("--port", type=int, default=0, help="TCP port for DDS on the loopback")
    parser.add_argument("--domain", type=int, required=True, help="ROS_DOMAIN_ID")
    parser.add_argument("file", help="launch file")
    parser.add_argument("values", nargs="*", metavar="name:=value", help="launch arguments")
    given = parser.parse_args(args)
    if given.port and not _free(given.port):
        say("busy", port=given.port, machine=machine_id())
        return 3
    session = AgentSession(session_folder())
    try:
        for name in session.open():
            say("stopped_stale", session=name)
        command = [*_launcher(), given.file, *given.values]
        variables = {"ROS_DOMAIN_ID": str(given.domain)}
        if given.port:
            session.profile.write_text(listener_profile(given.port))
            command.append(f"dds:={session.profile}")
            variables.update(dict.fromkeys(PROFILE_VARIABLES, str(session.profile)))
        return Agent(session, command, variables).run()
    finally:
        session.close()


if __name__ == "__main__":
    sys.exit(main())
