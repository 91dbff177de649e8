"""What a second viewer costs the web monitor: CPU time of its process with one viewer and two.

A publisher stands for bridge and mirror: 640x480 pictures, states and steps at 30 Hz. Viewers
are processes of their own that take and confirm every picture and update, as the page does.
Rounds with one viewer and with two alternate, so that both see the same machine.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
from rows import Row, row

from sim_bridge.processes.testing import Process, free_domain_id, wait_until
from sim_bridge.progress import track

_RATE_HZ = 30.0
_BUDGET_PERCENT = 10.0
_SETTLE_S = 1.0


def measure(rounds: int = 8, seconds: float = 6.0) -> list[Row]:
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        env = {"ROS_DOMAIN_ID": str(free_domain_id())}
        stack.enter_context(_this("publish", log=folder / "publisher", env=env))
        words = ["--ros-args", "-p", "port:=0"]
        log = folder / "monitor"
        monitor = stack.enter_context(
            Process.module("mujoco_mirror.monitor", *words, log=log, env=env)
        )
        wait_until(lambda: "#token=" in monitor.output(), 60.0, "the monitor serves")
        address = re.search(r"http(://\S+)/#token=", monitor.output()).group(1)
        stack.enter_context(_viewer(address, folder / "first"))
        process, added = psutil.Process(monitor.pid), []
        for turn in track(range(rounds), "one viewer, then two", "round", keep=False):
            alone = _load(process, seconds)
            with _viewer(address, folder / f"second-{turn}"):
                added.append(100.0 * (_load(process, seconds) / alone - 1.0))
        load = 100.0 * alone
    print(f"monitor with one viewer: {load:.1f} % of a core", file=sys.stderr)
    return [row("monitor_second_viewer_cpu", "%", added, budget=_BUDGET_PERCENT)]


def _load(process: psutil.Process, seconds: float) -> float:
    """CPU seconds per second."""
    time.sleep(_SETTLE_S)
    before, started = process.cpu_times(), time.monotonic()
    time.sleep(seconds)
    after, elapsed = process.cpu_times(), time.monotonic() - started
    return (after.user + after.system - before.user - before.system) / elapsed


@contextlib.contextmanager
def _viewer(address: str, log: Path):
    with _this("watch", f"ws{address}", log=log) as process:
        wait_until(lambda: "watching" in process.output(), 60.0, "the viewer gets pictures")
        yield process


def _this(*words: str, log: Path, env: dict[str, str] | None = None) -> Process:
    return Process([sys.executable, Path(__file__), *words], log, env)


async def _watch(address: str) -> None:
    from websockets.asyncio.client import connect

    async def data() -> None:
        async with connect(f"{address}/ws/data", compression=None) as socket:
            async for _ in socket:
                pass

    async def video() -> None:
        async with connect(f"{address}/ws/video", compression=None) as socket:
            await socket.recv()
            await socket.send("")
            print("watching", flush=True)
            async for _ in socket:
                await socket.send("")

    await asyncio.gather(data(), video())


def _publish() -> None:
    import rclpy
    from rclpy.node import Node
    from sensor_msgs.msg import Image
    from sim_interfaces import msg as m

    from sim_bridge import names
    from sim_bridge.ros import qos
    from sim_bridge.ros.convert import to_time
    from sim_bridge.ros.images import to_image_msg

    rclpy.init()
    node = Node("publisher")
    states = node.create_publisher(m.SimState, names.STATE, qos.EVERY_STEP)
    infos = node.create_publisher(m.StepInfo, names.STEP_INFO, qos.EVERY_STEP)
    images = node.create_publisher(Image, names.MIRROR_IMAGE, qos.IMAGES)
    pictures = [to_image_msg(_scene(shift)) for shift in range(30)]
    joints = [f"arm/joint_{i}" for i in range(14)]
    for step in range(1, sys.maxsize):
        stamp = to_time(step / _RATE_HZ)
        values = np.sin(0.05 * step + np.arange(len(joints))).tolist()
        state = m.SimState(episode=1, step=step, joint_names=joints, joint_positions=values)
        state.header.stamp = stamp
        states.publish(state)
        infos.publish(m.StepInfo(episode=1, step=step, action=values, reward=values[0]))
        picture = pictures[step % len(pictures)]
        picture.header.stamp = stamp
        images.publish(picture)
        time.sleep(1.0 / _RATE_HZ)


def _scene(shift: int) -> np.ndarray:
    """About as hard to compress as a rendered table top: edges, shading, a little grain."""
    rows, columns = np.mgrid[0:480, 0:640]
    tiles = ((rows // 40 + (columns + 4 * shift) // 40) % 2) * 60.0
    grain = np.random.default_rng(shift).normal(0.0, 3.0, (480, 640))
    shade = 90.0 + rows / 8.0 + tiles + grain
    return np.stack([shade, 0.9 * shade, 0.8 * shade], axis=-1).clip(0, 255).astype(np.uint8)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        if sys.argv[1:] == ["publish"]:
            _publish()
        elif sys.argv[1:2] == ["watch"]:
            asyncio.run(_watch(sys.argv[2]))
        else:
            print(measure())
