"""The buttons, through ROS."""

from __future__ import annotations

import time

from action_msgs.srv import CancelGoal
from rclpy.node import Node
from sim_interfaces import msg as m

from mujoco_mirror.monitor.feed import MonitorFeed
from sim_bridge import names
from sim_bridge.backoff import Backoff
from sim_bridge.client.bridge_client import BridgeClient
from sim_bridge.errors import IncorrectState, LeaseHeld, TimedOut
from sim_bridge.ros import qos
from sim_bridge.ros.calls import Caller

_RETRY_S = 0.1
_DISCOVERY_S = 5.0


class RosCommands:
    """``Commands`` on the actions and services of one namespace. One thread at a time."""

    def __init__(self, node: Node, feed: MonitorFeed, timeout_s: float) -> None:
        self._feed = feed
        self._timeout_s = timeout_s
        self._bridge = BridgeClient(
            node, client_id=f"monitor-{time.time_ns():x}", timeout_s=timeout_s
        )
        self._cancels = [
            Caller(node, CancelGoal, f"{action}/_action/cancel_goal")
            for action in (names.ROLLOUT, names.REPLAY)
        ]
        self._verdict = node.create_publisher(m.StepInfo, names.VERDICT, qos.LATCHED)

    def stop(self) -> str:
        """Cancel all goals of the rollout and replay actions."""
        canceled = self._cancel_all()
        if canceled == 0:
            return "Nothing was running."
        return f"Stopping {canceled} run{'s' if canceled > 1 else ''}."

    def reset(self) -> str:
        """Stop what runs, then start an episode as soon as control is free."""
        self._cancel_all()
        self._bridge.wait_for_bridge(_DISCOVERY_S)
        backoff = Backoff(_RETRY_S, _RETRY_S, self._timeout_s)
        while True:
            try:
                episode = self._bridge.reset().observation.episode
                break
            except LeaseHeld:
                delay_s = backoff.delay_s()
                if delay_s is None:
                    raise
                time.sleep(delay_s)
        self._bridge.release()
        return f"Episode {episode} started."

    def mark_success(self) -> str:
        """Publish the verdict, latched, on the episode that is on show."""
        episode, step = self._feed.position()
        if episode == 0:
            raise IncorrectState("No episode has been seen yet.")
        self._verdict.publish(m.StepInfo(episode=episode, step=step, success=True))
        return f"Episode {episode} marked as a success."

    def _cancel_all(self) -> int:
        """How many goals are being cancelled; a request without an id means all of them."""
        canceled = 0
        for caller in self._cancels:
            if caller.wait_for_service(0.0):
                try:
                    reply = caller.call(CancelGoal.Request(), self._timeout_s)
                except TimedOut:
                    continue  # a server that is gone but still listed by discovery
                canceled += len(reply.goals_canceling)
        return canceled
