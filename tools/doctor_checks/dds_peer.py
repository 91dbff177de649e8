"""Two ends of a DDS round trip, run as processes of their own in the workspace's environment.

``serve [SECONDS]`` answers (until Ctrl-C, or so long); ``ask SECONDS COUNT`` prints the median
round trip in microseconds, or exits with 1 when nobody answers.
"""

from __future__ import annotations

import statistics
import sys
import time

import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from std_srvs.srv import Trigger

SERVICE = "twinstep_doctor"


def serve(seconds: float) -> int:
    node = Node("twinstep_doctor_listener")

    def answer(_request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        response.success = True
        return response

    node.create_service(Trigger, SERVICE, answer)
    print("listening", flush=True)
    end = time.monotonic() + seconds if seconds else float("inf")
    while rclpy.ok() and time.monotonic() < end:
        rclpy.spin_once(node, timeout_sec=0.2)
    return 0


def ask(seconds: float, count: int) -> int:
    node = Node("twinstep_doctor_asker")
    client = node.create_client(Trigger, SERVICE)
    if not client.wait_for_service(timeout_sec=seconds):
        return 1
    trips = []
    for _ in range(count):
        start = time.perf_counter()
        future = client.call_async(Trigger.Request())
        end = time.monotonic() + seconds
        while not future.done():
            rclpy.spin_once(node, timeout_sec=0.2)
            if time.monotonic() > end:
                return 1
        trips.append(time.perf_counter() - start)
    print(f"{statistics.median(trips) * 1e6:.0f}", flush=True)
    return 0


def main() -> int:
    rclpy.init()
    try:
        if sys.argv[1] == "serve":
            return serve(float(sys.argv[2]) if len(sys.argv) > 2 else 0.0)
        return ask(float(sys.argv[2]), int(sys.argv[3]))
    except (KeyboardInterrupt, ExternalShutdownException):
        return 0
    finally:
        rclpy.try_shutdown()


if __name__ == "__main__":
    sys.exit(main())
