"""A bridge on another machine, for as long as it is needed, with nothing but SSH between."""

from __future__ import annotations

import contextlib
import json
import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import rclpy
from rclpy.context import Context
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from sim_bridge.client.env import RemoteEnv
from sim_bridge.errors import InvalidRequest, OperationFailed
from sim_bridge.processes.domains import free_domain_id
from sim_bridge.remote.agent import machine_id
from sim_bridge.remote.connection import (
    BridgeDied,
    Connection,
    HostUnreachable,
    RemoteHostError,
    agent_command,
)
from sim_bridge.remote.tunnel import Tunnel
from sim_bridge.ros.spec import receive_spec

__all__ = ["BridgeDied", "HostUnreachable", "RemoteHost", "RemoteHostError"]

_START_S = 60.0
_TRIES = 4
_log = logging.getLogger(__name__)


class RemoteHost:
    """Starts a launch file of ``workspace`` on ``host`` and stops it again; a context manager.

    ``host`` is what ``ssh`` takes, and so is ``ssh_options`` (``["-F", FILE]``). Empty: this
    machine, without ssh; ``workspace`` may then be left out. ``source`` is a file to source
    there first (``~/ws/install/setup.bash``); without one, the workspace's own environment is
    used. Further keywords are arguments of the launch file.

        with RemoteHost("gpu-server", workspace="~/twinstep", task="SO101PickPlace-v0") as host:
            env = host.env()
            env.reset(seed=0)

    DDS goes through one forwarded port between the loopback interfaces. What is started ends
    with this process or with the connection; what an earlier, killed agent of this user left
    running there is stopped. ``on_log`` gets each line of the log, from a thread.

    Fast DDS reads its profiles once in a process, when its first node is made: make a RemoteHost
    before any other node. Several may be open at a time, each in a ROS domain of its own.

    Raises HostUnreachable, BridgeDied or RemoteHostError with the last lines of the log, and
    TimedOut when no bridge has come up within ``ready_timeout_s``.
    """

    def __init__(
        self,
        host: str = "",
        *,
        workspace: str = "",
        source: str = "",
        launch_file: str = "launch/sim.launch.xml",
        ssh_options: Sequence[str] = (),
        domain_id: int | None = None,
        ready_timeout_s: float = 120.0,
        on_log: Callable[[str], None] = _log.info,
        **arguments: Any,
    ) -> None:
        if host and not workspace:
            raise InvalidRequest(
                f"workspace on {host!r} is missing; valid: a path, such as ~/twinstep"
            )
        self._host = host
        self._workspace = workspace or _own_workspace()
        self._source = source
        self._values = [launch_file, *(f"{k}:={_text(v)}" for k, v in arguments.items())]
        self._namespace = str(arguments.get("namespace", ""))
        self._ssh_options = tuple(ssh_options)
        self._ready_timeout_s = ready_timeout_s
        self._on_log = on_log
        self._given_domain_id = domain_id
        self._tunnel: Tunnel | None = None
        self._connection: Connection | None = None
        self._stack = contextlib.ExitStack()
        self.domain_id = -1  # of the ROS graph, once it is started
        self.context: Context | None = None

    def __enter__(self) -> RemoteHost:
        try:
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """Of the ssh process (of the agent, on this machine)."""
        return self._running().pid

    def env(self, namespace: str | None = None, **kwargs: Any) -> RemoteEnv:
        """A RemoteEnv on its bridge, which says so at once when that has died.

        ``kwargs`` are RemoteEnv's. It is closed with the host, or before.
        """
        self.check()
        chosen = self._namespace if namespace is None else namespace
        env = RemoteEnv(chosen, context=self.context, watch=self.check, **kwargs)
        self._stack.callback(env.close)
        return env

    def environment(self) -> dict[str, str]:
        """Variables with which another process on this machine joins the same graph."""
        profile = self._tunnel.variables() if self._tunnel else {}
        return {"ROS_DOMAIN_ID": str(self.domain_id), **profile}

    def check(self) -> None:
        """Raise BridgeDied or HostUnreachable if it has ended."""
        self._running().check()

    def close(self) -> None:
        """End everything, there and here. Safe to call twice."""
        self._stack.close()
        self._disconnect()

    def _start(self) -> None:
        deadline = time.monotonic() + self._ready_timeout_s
        self.domain_id = self._domain()
        self._connect()
        node = self._join()
        hint = f" on {self._host or 'this machine'}" + (self._tunnel.hint() if self._tunnel else "")
        left_s = max(0.0, deadline - time.monotonic())
        receive_spec(node, self._namespace, left_s, self.check, hint)

    def _connect(self) -> None:
        """With another port when one is taken there. On this very machine a tunnel cannot be,
        as both its ends have the same number, and is not needed."""
        here = not self._host
        for _ in range(_TRIES):
            self._tunnel = None if here else Tunnel()
            event = self._try(self._tunnel.port if self._tunnel else 0)
            if event["event"] == "started":
                return
            self._disconnect()
            here = event["machine"] == machine_id()
        raise RemoteHostError(f"no free TCP port on {self._host} in {_TRIES} tries")

    def _try(self, port: int) -> dict[str, Any]:
        words = ["--port", str(port), "--domain", str(self.domain_id), "--", *self._values]
        command = agent_command(
            self._host, self._workspace, self._source, words, self._ssh_options, port
        )
        where = self._host or "this machine"
        self._connection = Connection(command, where, self._on_log)
        return self._connection.wait_for("started", "busy", timeout_s=_START_S)

    def _join(self) -> Node:
        """The node stays: with a context's last one, its DDS participant would go."""
        self.context = Context()
        with self._tunnel.profile() if self._tunnel else contextlib.nullcontext():
            rclpy.init(
                context=self.context,
                domain_id=self.domain_id,
                signal_handler_options=SignalHandlerOptions.NO,
            )
            self._stack.callback(self.context.try_shutdown)
            node = Node(
                "remote_host",
                context=self.context,
                start_parameter_services=False,
                enable_rosout=False,
            )
        self._stack.callback(node.destroy_node)
        return node

    def _domain(self) -> int:
        if self._given_domain_id is not None:
            return self._given_domain_id
        domain = _spare_domains.pop() if _spare_domains else free_domain_id()
        self._stack.callback(_spare_domains.append, domain)
        return domain

    def _running(self) -> Connection:
        if self._connection is None:
            raise OperationFailed("the RemoteHost is not started; use it in a with statement")
        return self._connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._tunnel is not None:
            self._tunnel.close()
            self._tunnel = None


_spare_domains: list[int] = []


def _own_workspace() -> str:
    """The workspace that this module is part of, or else the current folder."""
    for folder in (*Path(__file__).resolve().parents, Path.cwd()):
        if (folder / "launch" / "sim.launch.xml").is_file():
            return str(folder)
    raise InvalidRequest("workspace is missing; valid: the path of a Twinstep workspace")


def _text(value: Any) -> str:
    """As a launch argument: JSON but for text, as ``task_options`` and booleans need it."""
    return value if isinstance(value, str) else json.dumps(value)
