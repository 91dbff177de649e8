"""The rollout node: runs a policy in the simulator on request, and reports."""

from __future__ import annotations

from collections.abc import Callable

from rclpy.action.server import ServerGoalHandle
from rclpy.node import Node
from sim_interfaces.action import Rollout

from policy_node.node.parameters import RolloutParameters
from policy_node.rollout.progress_board import ProgressBoard
from policy_node.rollout.worker import RolloutWorker
from sim_bridge import names
from sim_bridge.ros.goals import GoalWorker
from sim_bridge.ros.parameters import declare_pid, read_parameters
from sim_bridge.ros.program import Program, spin


class RolloutNode(Node):
    """Takes goals on the executor's thread and hands them to the worker's, one at a time."""

    def __init__(self, **kwargs) -> None:
        super().__init__("rollout", **kwargs)
        self._worker = RolloutWorker(self, read_parameters(self, RolloutParameters))
        declare_pid(self)
        self._goals = GoalWorker(self, Rollout, names.ROLLOUT, self._work)
        self._goals.start()

    def destroy_node(self) -> None:
        self._goals.stop()
        super().destroy_node()

    def _work(self, handle: ServerGoalHandle, should_stop: Callable[[], bool]) -> Rollout.Result:
        board = ProgressBoard(self, handle.request.episodes)

        def report(index: int, step: int, reward: float, fps: float) -> None:
            feedback = Rollout.Feedback(episode=index, step=step, reward=reward, fps=fps)
            handle.publish_feedback(feedback)
            board.show(index)

        try:
            return self._worker.run(handle.request, report, should_stop)
        finally:
            board.close()


PROGRAM = Program(
    "rollout",
    "Run the policy node's policy in the bridge's simulator, as action 'rollout'.",
    (RolloutParameters,),
)


def main(args: list[str] | None = None) -> int:
    return PROGRAM.run(lambda stop, _: spin(RolloutNode(), stop), args)
