"""Ports of tunnels, and the DDS profile with which this process uses them."""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

from sim_bridge.errors import OperationFailed
from sim_bridge.remote.profiles import DEFAULT_PORT, PROFILE_VARIABLES, connector_profile

_TUNNELS = 16
_LAST_PORT = 60000
_pool: _Pool | None = None


class _Pool:
    """All ports that this process may use, in one profile.

    Fast DDS reads the profile once in a process, so it has to name the tunnels to come.
    """

    def __init__(self) -> None:
        self.ports = _free_ports(_TUNNELS)
        self.free = list(self.ports)
        folder = tempfile.mkdtemp(prefix="twinstep-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        self.profile = Path(folder, "tunnel.xml")
        self.profile.write_text(connector_profile(self.ports))


class Tunnel:
    """One port, free on this machine, until ``close``."""

    def __init__(self) -> None:
        global _pool
        _pool = _pool or _Pool()
        if not _pool.free:
            raise OperationFailed(f"all {_TUNNELS} tunnels of this process are in use")
        self._pool = _pool
        self.port = _pool.free.pop(0)

    def variables(self) -> dict[str, str]:
        return dict.fromkeys(PROFILE_VARIABLES, str(self._pool.profile))

    @contextlib.contextmanager
    def profile(self) -> Iterator[None]:
        """The process's first node must be made within."""
        before = {name: os.environ.get(name) for name in PROFILE_VARIABLES}
        os.environ.update(self.variables())
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value

    def hint(self) -> str:
        """What to say when nothing came through."""
        if self._connected():
            return ""
        return (
            "; nothing of this process has reached the tunnel. Did it make a ROS node before the "
            "RemoteHost? Fast DDS reads its profiles but once"
        )

    def close(self) -> None:
        # Last again: the system holds a port that was just in use for a while.
        self._pool.free.append(self.port)

    def _connected(self) -> bool:
        """Whether a TCP connection to the port is established, by anybody here."""
        peer = f"0100007F:{self.port:04X}"
        lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
        return any(line.split()[2:4] == [peer, "01"] for line in lines)


def _free_ports(count: int) -> list[int]:
    """A start that differs by process keeps those apart that look at the same time."""
    found: list[int] = []
    span = _LAST_PORT - DEFAULT_PORT
    for offset in range(span):
        port = DEFAULT_PORT + (os.getpid() * _TUNNELS + offset) % span
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            found.append(port)
        if len(found) == count:
            return found
    raise OperationFailed(f"fewer than {count} free TCP ports from {DEFAULT_PORT} up")
