"""``ros2 run sim_bridge replay_server``: the ``replay`` action on the bridge beside it."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Callable
from pathlib import Path

import rclpy
from rclpy.action.server import ServerGoalHandle
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from rclpy.utilities import remove_ros_args
from sim_interfaces import msg as m
from sim_interfaces.action import Replay

from sim_bridge import names
from sim_bridge.client.bridge_client import BridgeClient
from sim_bridge.errors import OK, BridgeError, Canceled, OperationFailed
from sim_bridge.ros.goals import GoalWorker
from sim_bridge.ros.interrupts import StopFlag
from sim_bridge.ros.parameters import declare_pid
from sim_bridge.ros.spec import receive_spec
from sim_bridge.trajectories.importers.formats import read_trajectory
from sim_bridge.trajectories.importers.options import parse_address
from sim_bridge.trajectories.replayer import Replayer, ReplayOptions, ReplayProgress, ReplayReport
from sim_bridge.trajectories.trajectory import SUFFIX, Trajectory

_CONNECT_S = 20.0
_SPIN_S = 0.2


class ReplayNode(Node):
    """Takes one goal at a time; ``trajectory`` is an address as ``open_trajectory`` takes it."""

    def __init__(self, **kwargs) -> None:
        super().__init__("replay_server", **kwargs)
        declare_pid(self)
        # Its clients wait in the worker's thread, so nobody spins it.
        self._outgoing = Node(
            "replay_client", start_parameter_services=False, enable_rosout=False, **kwargs
        )
        self._goals = GoalWorker(self, Replay, names.REPLAY, self._carry_out)
        self._goals.start()

    def destroy_node(self) -> None:
        self._goals.stop()
        self._outgoing.destroy_node()
        super().destroy_node()

    def _carry_out(
        self, handle: ServerGoalHandle, should_stop: Callable[[], bool]
    ) -> Replay.Result:
        result = Replay.Result()
        try:
            self._replay(handle, should_stop, result)
            result.result.code = OK
        except Exception as error:
            if not isinstance(error, BridgeError):
                error = OperationFailed(f"internal error: {error!r}")
            self.get_logger().warning(f"replay: {error}")
            result.result.code, result.result.message = error.code, str(error)
        return result

    def _replay(
        self,
        handle: ServerGoalHandle,
        should_stop: Callable[[], bool],
        result: Replay.Result,
    ) -> None:
        goal: Replay.Goal = handle.request
        trajectory = _read(goal)
        record = bool(goal.output_directory)
        client = BridgeClient(self._outgoing)
        try:
            spec = receive_spec(self._outgoing, "", _CONNECT_S)
            client.wait_for_bridge(_CONNECT_S)
            replayer = Replayer(client, spec, _Feedback(handle), should_stop)
            report = replayer.run(trajectory, ReplayOptions(goal.restore_states, record=record))
        finally:
            with contextlib.suppress(BridgeError):
                client.release()
            client.close()
        if report.canceled:
            raise Canceled(f"stopped after {report.steps} of {trajectory.num_steps} steps")
        result.episodes = [_to_episode_msg(report, trajectory)]
        result.success_rate = float(report.success)
        result.files = _write(goal.output_directory, report)


class _Feedback:
    def __init__(self, handle: ServerGoalHandle) -> None:
        self._handle = handle

    def __call__(self, progress: ReplayProgress) -> None:
        self._handle.publish_feedback(
            Replay.Feedback(step=progress.step, reward=progress.reward, fps=progress.fps)
        )


def _read(goal: Replay.Goal) -> Trajectory:
    text, _, query = goal.trajectory.partition("?")
    if goal.restore_states and not text.endswith(SUFFIX) and "states=" not in query:
        query = f"{query}&states=all" if query else "states=all"
    path, options = parse_address(f"{text}?{query}")
    return read_trajectory(Path(path).expanduser(), options)


def _to_episode_msg(report: ReplayReport, trajectory: Trajectory) -> m.EpisodeResult:
    return m.EpisodeResult(
        seed=trajectory.seed or 0,
        success=report.success,
        terminated=report.terminated,
        truncated=report.truncated,
        steps=report.steps,
        total_reward=report.total_reward,
        wall_time=report.wall_time_s,
        sim_wall_time=report.sim_wall_time_s,
    )


def _write(directory: str, report: ReplayReport) -> list[str]:
    if not directory or report.trajectory is None:
        return []
    try:
        return [str(report.trajectory.save(Path(directory).expanduser() / f"replay{SUFFIX}"))]
    except OSError as error:
        raise OperationFailed(f"cannot write to output_directory {directory!r}: {error}") from error


def main(args: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="replay_server", description="Replay trajectories on a bridge, as action 'replay'."
    )
    parser.parse_args(remove_ros_args(args if args is not None else sys.argv)[1:])
    rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
    stop = StopFlag().install()
    node = ReplayNode()
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    try:
        while not stop.requested:
            executor.spin_once(timeout_sec=_SPIN_S)
    finally:
        node.destroy_node()
        rclpy.try_shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
