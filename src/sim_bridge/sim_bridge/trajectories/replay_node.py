"""``ros2 run sim_bridge replay_server``: the ``replay`` action on the bridge beside it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from rclpy.action.server import ServerGoalHandle
from rclpy.node import Node
from sim_interfaces.action import Replay

from sim_bridge import names
from sim_bridge.client.bridge_client import BridgeClient
from sim_bridge.episodes.running import Progress
from sim_bridge.errors import OK, BridgeError, Canceled, OperationFailed
from sim_bridge.ros.convert import to_episode_msg
from sim_bridge.ros.goals import GoalWorker
from sim_bridge.ros.parameters import declare_pid
from sim_bridge.ros.program import Program, spin
from sim_bridge.trajectories.importers.formats import read_trajectory
from sim_bridge.trajectories.importers.options import parse_address
from sim_bridge.trajectories.recording import TrajectoryFile
from sim_bridge.trajectories.replayer import Replayer, ReplayOptions
from sim_bridge.trajectories.trajectory import SUFFIX, Trajectory

_CONNECT_S = 20.0


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
        client = BridgeClient(self._outgoing)
        try:
            spec = client.connect(_CONNECT_S)
            files = []
            if goal.output_directory and not goal.restore_states:
                path = Path(goal.output_directory).expanduser() / f"replay{SUFFIX}"
                files.append(TrajectoryFile(spec, path, {"replay_of": trajectory.task}))
            subscribers = [Progress(_feedback_to(handle)), *files]
            replayer = Replayer(client, spec, subscribers, should_stop)
            episode = replayer.run(trajectory, ReplayOptions(goal.restore_states)).episode
        finally:
            client.close()
        if episode.canceled:
            raise Canceled(f"stopped after {episode.steps} of {trajectory.num_steps} steps")
        result.episodes = [to_episode_msg(episode)]
        result.success_rate = float(episode.success)
        result.files = [str(file.path) for file in files]


def _feedback_to(handle: ServerGoalHandle) -> Callable[[int, float, float], None]:
    def publish(step: int, reward: float, fps: float) -> None:
        handle.publish_feedback(Replay.Feedback(step=step, reward=reward, fps=fps))

    return publish


def _read(goal: Replay.Goal) -> Trajectory:
    text, _, query = goal.trajectory.partition("?")
    if goal.restore_states and not text.endswith(SUFFIX) and "states=" not in query:
        query = f"{query}&states=all" if query else "states=all"
    path, options = parse_address(f"{text}?{query}")
    return read_trajectory(Path(path).expanduser(), options)


PROGRAM = Program("replay_server", "Replay trajectories on a bridge, as action 'replay'.")


def main(args: list[str] | None = None) -> int:
    return PROGRAM.run(lambda stop, _: spin(ReplayNode(), stop), args)


if __name__ == "__main__":
    sys.exit(main())
