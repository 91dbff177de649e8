"""The rollout node: runs a policy in the simulator on request, and reports."""

from __future__ import annotations

import argparse
import functools
import logging
import sys
from collections.abc import Callable

import rclpy
from rclpy.action.server import ServerGoalHandle
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from rclpy.utilities import remove_ros_args
from sim_interfaces.action import Rollout

from policy_node.node.parameters import LOG_FORMAT, RolloutParameters
from policy_node.rollout.worker import RolloutWorker
from sim_bridge import names
from sim_bridge.errors import BridgeError
from sim_bridge.ros.goals import GoalWorker
from sim_bridge.ros.interrupts import StopFlag
from sim_bridge.ros.parameters import declare_pid, read_parameters

_SPIN_S = 0.2


class RolloutNode(Node):
    """Takes goals on the executor's thread and hands them to the worker's, one at a time."""

    def __init__(self, **kwargs) -> None:
        super().__init__("rollout", **kwargs)
        self._worker = RolloutWorker(self, read_parameters(self, RolloutParameters))
        declare_pid(self)
        self._goals = GoalWorker(self, Rollout, names.ROLLOUT, self._work)

    def start(self) -> None:
        self._goals.start()

    def stop(self) -> None:
        self._goals.stop()

    def _work(self, handle: ServerGoalHandle, should_stop: Callable[[], bool]) -> Rollout.Result:
        return self._worker.run(handle.request, functools.partial(_report, handle), should_stop)


def _report(handle: ServerGoalHandle, index: int, step: int, reward: float, fps: float) -> None:
    handle.publish_feedback(Rollout.Feedback(episode=index, step=step, reward=reward, fps=fps))


def main(args: list[str] | None = None) -> int:
    words = remove_ros_args(args if args is not None else sys.argv)[1:]
    parser = argparse.ArgumentParser(
        prog="rollout",
        description="Run the policy node's policy in the bridge's simulator, as action 'rollout'.",
        epilog=f"Parameters: {RolloutParameters.__doc__}",
    )
    parser.parse_args(words)
    logging.basicConfig(level=logging.INFO, format=LOG_FORMAT)
    rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
    stop = StopFlag().install()
    node = None
    try:
        node = RolloutNode()
        node.start()
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        while not stop.requested:
            executor.spin_once(timeout_sec=_SPIN_S)
    except BridgeError as error:
        print(f"rollout: {error}", file=sys.stderr)
        return 2
    finally:
        if node is not None:
            node.stop()
            node.destroy_node()
        rclpy.try_shutdown()
    return 0
