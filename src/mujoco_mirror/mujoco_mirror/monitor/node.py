"""The monitor node: rclpy in a thread of its own, the web server in the main one."""

from __future__ import annotations

import errno
import secrets
import socket

import uvicorn
from rclpy.node import Node

from mujoco_mirror.monitor.feed import MonitorFeed
from mujoco_mirror.monitor.liveness import LivenessProbe
from mujoco_mirror.monitor.parameters import MonitorParameters
from mujoco_mirror.monitor.ros_commands import RosCommands
from mujoco_mirror.monitor.security import Token, is_loopback
from mujoco_mirror.monitor.server import MonitorServer
from mujoco_mirror.monitor.subscriptions import FeedSubscriptions, VideoSubscription
from mujoco_mirror.monitor.video import VideoFeed
from sim_bridge.errors import OperationFailed
from sim_bridge.ros.parameters import read_parameters
from sim_bridge.ros.program import Program, spinning

_SHUTDOWN_S = 2
_PORTS = 20  # that are tried when those before are in use


class Monitor(Node):
    """Feeds the page from topics and carries its buttons to services and actions."""

    def __init__(self, **kwargs) -> None:
        super().__init__("monitor", **kwargs)
        self.parameters: MonitorParameters = read_parameters(self, MonitorParameters)
        self.feed = MonitorFeed(self.parameters.lost_after_s)
        self.video = VideoFeed()
        self.commands = RosCommands(self, self.feed, self.parameters.command_timeout_s)
        self._inputs = (
            FeedSubscriptions(self, self.feed),
            VideoSubscription(self, self.parameters.image_topic, self.feed, self.video),
            LivenessProbe(self, self.feed),
        )


PROGRAM = Program(
    "monitor",
    "Show the simulation of this namespace in a browser, on http://127.0.0.1:9000. The URL with "
    "the token, which the buttons need, is printed at start.",
    (MonitorParameters,),
)


def main(args: list[str] | None = None) -> int:
    # Ctrl-C is the web server's: it closes the viewers, then the node goes down.
    return PROGRAM.run(lambda stop, given: _run(Monitor()), args)


def _run(monitor: Monitor) -> None:
    p = monitor.parameters
    listener = listen(p.host, p.port)
    secret = secrets.token_urlsafe(24)
    server = MonitorServer(
        monitor.feed,
        monitor.video,
        monitor.commands,
        Token(secret),
        hosts=p.hosts(),
        data_rate_hz=p.data_rate_hz,
        video_rate_hz=p.video_rate_hz,
    )
    host, port, *_ = listener.getsockname()
    _announce(monitor, host, port, secret)
    with spinning(monitor):
        _serve(server, listener)


def _serve(server: MonitorServer, listener: socket.socket) -> None:
    config = uvicorn.Config(
        server.app,
        log_level="warning",
        access_log=False,
        ws_per_message_deflate=False,  # JPEGs do not shrink
        timeout_graceful_shutdown=_SHUTDOWN_S,
    )
    uvicorn.Server(config).run(sockets=[listener])


def listen(host: str, port: int) -> socket.socket:
    """On ``port``, or on the first free one of those that follow; 0: on any free one."""
    last = min(port + _PORTS - 1, 65535)
    for candidate in range(port, last + 1):
        try:
            listener = socket.create_server((host, candidate), family=_family(host))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                continue
            raise OperationFailed(f"cannot serve on {host}:{candidate}: {error.strerror}") from None
        if candidate != port:
            print(f"monitor: port {port} is in use; serving on {candidate}", flush=True)
        return listener
    raise OperationFailed(
        f"ports {port} to {last} of {host} are all in use; choose another: "
        "monitor_port:=PORT (launch) or --ros-args -p port:=PORT"
    )


def _family(host: str) -> int:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def _announce(monitor: Monitor, host: str, port: int, secret: str) -> None:
    if not is_loopback(host):
        monitor.get_logger().warning(
            f"serving on {host}: whoever reaches this address can watch; "
            "the token travels in the clear"
        )
    shown = f"[{host}]" if ":" in host else host
    # In the fragment, which browsers keep to themselves: it is in no request and in no log.
    print(f"monitor: watch at http://{shown}:{port}/", flush=True)
    print(f"monitor: watch and act at http://{shown}:{port}/#token={secret}", flush=True)
