"""Tells monitors how far a rollout is, on ``/diagnostics``."""

from __future__ import annotations

import time

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.node import Node

from sim_bridge import names
from sim_bridge.ros import qos

_PERIOD_S = 0.5


class ProgressBoard:
    """Of one rollout of ``episodes`` episodes; twice a second at most, from one thread."""

    def __init__(self, node: Node, episodes: int) -> None:
        self._node, self._episodes = node, episodes
        self._publisher = node.create_publisher(DiagnosticArray, names.DIAGNOSTICS, qos.ROBOT_STATE)
        self._started = time.monotonic()
        self._index, self._index_at, self._said = 0, self._started, 0.0

    def show(self, index: int) -> None:
        """Episode ``index``, from 0, runs."""
        now = time.monotonic()
        if index != self._index:
            self._index, self._index_at = index, now
        if now - self._said < _PERIOD_S:
            return
        self._said = now
        values = {"episode": str(index + 1), "episodes": str(self._episodes)}
        left_s = time_left_s(
            index, self._episodes, self._index_at - self._started, now - self._index_at
        )
        if left_s is not None:
            values["time_left_s"] = f"{left_s:.1f}"
        status = DiagnosticStatus(
            name=names.ROLLOUT_PROGRESS,
            message=f"episode {index + 1} of {self._episodes}",
            values=[KeyValue(key=key, value=value) for key, value in values.items()],
        )
        self._publisher.publish(DiagnosticArray(status=[status]))

    def close(self) -> None:
        self._node.destroy_publisher(self._publisher)


def time_left_s(done: int, episodes: int, done_s: float, running_s: float) -> float | None:
    """If the other episodes take as long as the ``done`` ones, which took ``done_s`` together;
    None before the first is done."""
    if not done:
        return None
    each_s = done_s / done
    return max(each_s - running_s, 0.0) + (episodes - done - 1) * each_s
