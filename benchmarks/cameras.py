"""Three raw 640x480 cameras at 30 Hz to one subscriber: what is lost, and how old pictures are.

The synthetic simulator's pictures cost next to nothing and carry the time of their drawing, so
that the age at the subscriber is the transport alone. Bridge, driver and subscriber are three
processes; the peers move the same pictures at the same pace, one after the other.
"""

from __future__ import annotations

import contextlib
import json
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from camera_peers import KINDS
from rows import Row, percentiles

from sim_bridge.processes.testing import Process, free_domain_id, wait_until
from sim_bridge.progress import Stage

_CAMERAS, _RATE_HZ, _SIZE = 3, 30, (640, 480)
_LATENCY_BUDGET_MS = 33.0
_PROFILE = Path(__file__).parents[1] / "launch/dds/local.xml"
_HERE = Path(__file__)


def measure(seconds: float = 20.0) -> list[Row]:
    frames = round(seconds * _RATE_HZ)
    with tempfile.TemporaryDirectory() as name:
        ages_ms = _ours(frames, Path(name))
        peers = {kind: percentiles(_peer(kind, frames, Path(name))) for kind in KINDS}
    ours = percentiles(ages_ms)
    lost = 100.0 * (1.0 - len(ages_ms) / (frames * _CAMERAS))
    return [
        Row("camera_3x30hz_loss_percent", "%", lost, lost, {}, 0.0, lost <= 0.0),
        Row(
            "camera_3x30hz_latency_ms",
            "ms",
            ours["p50"],
            ours["p99"],
            peers,
            _LATENCY_BUDGET_MS,
            ours["p99"] <= _LATENCY_BUDGET_MS,
        ),
    ]


def _ours(frames: int, folder: Path) -> list[float]:
    """Ages [ms] of the pictures that arrived of ``frames`` from each camera."""
    domain_id = free_domain_id()
    environment = {
        "ROS_DOMAIN_ID": str(domain_id),
        "FASTDDS_DEFAULT_PROFILES_FILE": str(_PROFILE),
        "FASTRTPS_DEFAULT_PROFILES_FILE": str(_PROFILE),
    }
    options = {
        "simulator": "synthetic",
        "task": "cameras",
        "image_width": _SIZE[0],
        "image_height": _SIZE[1],
        "camera_rate_hz": 2.0 * _RATE_HZ,  # every step
    }
    arguments = ["--ros-args"]
    for name, value in options.items():
        arguments += ["-p", f"{name}:={value}"]
    result = folder / "ages.json"
    subscriber = [sys.executable, str(_HERE), "subscribe", str(result)]
    driver = [sys.executable, str(_HERE), "drive", str(frames)]
    with (
        Process.module("sim_bridge", *arguments, log=folder / "bridge", env=environment),
        Process(subscriber, folder / "subscriber", environment) as listening,
    ):
        with Process(driver, folder / "driver", environment) as driving:
            _follow(driving, frames, "ours")
        listening.stop()
        _check(listening)
    return [age for step, age in json.loads(result.read_text()) if step > 0]


def _follow(process: Process, frames: int, label: str) -> None:
    """A progress bar for a process that takes ``frames`` at the rate, after its own start-up."""
    with Stage(f"3 cameras, {label}", "frame", frames, keep=False) as stage:
        while process.running:
            lines = process.output().split()
            stage.reach(int(lines[-1]) if lines and lines[-1].isdigit() else 0)
            time.sleep(0.2)
    _check(process)


def _check(process: Process) -> None:
    status = process.wait(30.0)
    if status:
        raise RuntimeError(f"{process.command} ended with {status}:\n{process.output()}")


def _peer(kind: str, frames: int, folder: Path) -> list[float]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    script = str(_HERE.with_name("camera_peers.py"))
    result = folder / f"{kind}.json"
    command = [sys.executable, script]
    with (
        Process([*command, "receive", kind, port, str(result)], folder / f"{kind}-r") as receiver,
        Process([*command, "send", kind, port, str(frames)], folder / f"{kind}-s") as sender,
    ):
        _follow(sender, frames, kind)
        _check(receiver)
    return json.loads(result.read_text())


def pace(count: int) -> Iterator[int]:
    """0 ... count - 1 at the camera rate, by absolute deadlines; prints the progress."""
    start = time.monotonic()
    for index in range(count):
        time.sleep(max(0.0, start + index / _RATE_HZ - time.monotonic()))
        if index % _RATE_HZ == 0:
            print(index, flush=True)
        yield index


def drive(frames: int) -> None:
    """Step the bridge at the camera rate, once the subscriber hears all cameras."""
    import rclpy
    from rclpy.node import Node

    from sim_bridge.client.bridge_client import BridgeClient

    rclpy.init()
    node = Node("driver")
    client = BridgeClient(node)
    client.wait_for_bridge(60.0)
    topics = [f"camera/camera{i}/image_raw" for i in range(_CAMERAS)]
    client.reset(seed=0)
    wait_until(lambda: all(map(node.count_subscribers, topics)), 60.0, "the subscriber")
    # The bridge's publishers match a moment after this node knows of the subscriptions.
    for _ in pace(_RATE_HZ):
        client.step(np.zeros(6))
    client.reset(seed=0)
    for _ in pace(frames):
        client.step(np.zeros(6))
    time.sleep(1.0)  # what is still under way may arrive


def subscribe(result: Path) -> None:
    """Until Ctrl-C; writes ``[step, age in ms]`` for each picture of the last episode."""
    import rclpy
    from rclpy.node import Node
    from rclpy.qos import QoSProfile
    from sensor_msgs.msg import Image

    from sim_bridge.ros.convert import from_time
    from sim_bridge.simulators.synthetic import drawn_at_ns

    rclpy.init()
    node = Node("subscriber")
    arrived: list[list[float]] = []
    everything = QoSProfile(depth=_RATE_HZ)  # as a recorder would, not a live view

    def receive(message: Image) -> None:
        age_ms = (time.monotonic_ns() - drawn_at_ns(message.data)) / 1e6
        step = round(from_time(message.header.stamp) * _RATE_HZ)
        if step == 0:
            arrived.clear()
        arrived.append([step, age_ms])

    for i in range(_CAMERAS):
        node.create_subscription(Image, f"camera/camera{i}/image_raw", receive, everything)
    with contextlib.suppress(KeyboardInterrupt, rclpy.executors.ExternalShutdownException):
        rclpy.spin(node)
    result.write_text(json.dumps(arrived))


if __name__ == "__main__":
    role: dict[str, Callable[[str], None]] = {
        "drive": lambda value: drive(int(value)),
        "subscribe": lambda value: subscribe(Path(value)),
    }
    role[sys.argv[1]](sys.argv[2])
