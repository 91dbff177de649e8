"""The rollout node: runs a policy in the simulator on request, and reports."""

from __future__ import annotations

import argparse
import functools
import logging
import os
import queue
import sys
import threading

import rclpy
from rclpy.action import ActionServer, CancelResponse
from rclpy.action.server import ServerGoalHandle
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from rclpy.task import Future
from rclpy.utilities import remove_ros_args
from sim_interfaces.action import Rollout

from policy_node.parameters import LOG_FORMAT, RolloutParameters
from policy_node.rollout import Progress
from policy_node.rollout_worker import RolloutWorker
from sim_bridge import names
from sim_bridge.errors import OK, BridgeError, Busy, Canceled
from sim_bridge.node_parameters import read_parameters
from sim_bridge.stopping import StopFlag

_SPIN_S = 0.2


class RolloutNode(Node):
    """Takes goals on the executor's thread and hands them to the worker's, one at a time."""

    def __init__(self, **kwargs) -> None:
        super().__init__("rollout", **kwargs)
        self._worker = RolloutWorker(self, read_parameters(self, RolloutParameters))
        self.declare_parameter("pid", os.getpid())
        self._goals: queue.Queue[tuple[ServerGoalHandle, Future] | None] = queue.Queue()
        self._busy = False
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="rollout", daemon=True)
        self._server = ActionServer(
            self,
            Rollout,
            names.ROLLOUT,
            execute_callback=self._execute,
            cancel_callback=lambda _: CancelResponse.ACCEPT,
        )

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout_s: float = 2.0) -> None:
        self._stopping.set()
        self._goals.put(None)
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    async def _execute(self, handle: ServerGoalHandle) -> Rollout.Result:
        if self._busy:
            result = Rollout.Result()
            result.result.code = Busy.code
            result.result.message = "a rollout is under way already; cancel it or wait for its end"
            handle.abort()
            return result
        self._busy = True
        finished: Future = Future(executor=self.executor)
        self._goals.put((handle, finished))
        result = await finished
        self._busy = False
        if result.result.code == OK:
            handle.succeed()
        elif result.result.code == Canceled.code and handle.is_cancel_requested:
            handle.canceled()
        else:
            handle.abort()
        return result

    def _work(self) -> None:
        while (job := self._goals.get()) is not None:
            handle, finished = job
            report = functools.partial(self._report, handle)
            should_stop = functools.partial(self._should_stop, handle)
            result = self._worker.run(handle.request, report, should_stop)
            finished.set_result(result)
            if self.executor is not None:
                self.executor.wake()  # a future alone does not resume who awaits it on Jazzy

    def _should_stop(self, handle: ServerGoalHandle) -> bool:
        return self._stopping.is_set() or handle.is_cancel_requested

    def _report(self, handle: ServerGoalHandle, index: int, progress: Progress) -> None:
        handle.publish_feedback(
            Rollout.Feedback(
                episode=index, step=progress.step, reward=progress.reward, fps=progress.fps
            )
        )


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


if __name__ == "__main__":
    sys.exit(main())
