"""``ros2 run sim_bridge replay FILE``: replay a trajectory on a running bridge."""

from __future__ import annotations

import argparse
import functools
import sys
from pathlib import Path

from rclpy.node import Node

from sim_bridge.client.bridge_client import BridgeClient
from sim_bridge.entry import INTERRUPTED
from sim_bridge.episodes.running import Progress, Subscriber
from sim_bridge.progress import Stage
from sim_bridge.ros.interrupts import StopFlag
from sim_bridge.ros.program import Program
from sim_bridge.settings.options import parse_options
from sim_bridge.trajectories.importers.formats import read_trajectory
from sim_bridge.trajectories.importers.options import ImportOptions
from sim_bridge.trajectories.recording import Recording
from sim_bridge.trajectories.replayer import Replayer, ReplayOptions, ReplayReport
from sim_bridge.trajectories.trajectory import Trajectory

_IMPORT_HELP = {
    "episode": "episode of a file or dataset that holds several",
    "robot": "robot, when a RoboVerse file holds several",
    "states": "recorded states to keep: none, initial (default) or all",
    "control_period_s": "control period [s], when the file does not say",
    "action_names": "names of the action dimensions, in order: A,B,C",
    "rename": "names in the file and the simulator's: A:B,C:D",
    "scale": "factors by name in the file, * for all: A:0.01745,B:0.001",
    "seed": "seed of the reset",
}


def main(args: list[str] | None = None) -> int:
    return PROGRAM.run(_work, args)


def _work(stop: StopFlag, given: argparse.Namespace) -> int:
    report = _replay(given, _import_options(given), stop)
    _print(report)
    return INTERRUPTED if report.episode.canceled else 0


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path)
    parser.add_argument(
        "--restore-states", action="store_true", help="set the recorded states, execute nothing"
    )
    parser.add_argument(
        "--speed", type=float, default=0.0, help="1: real time; 0 (default): as fast as possible"
    )
    parser.add_argument("--clip", action="store_true", help="cut actions to the simulator's bounds")
    parser.add_argument("--output", type=Path, help="write what happened as a trajectory (.npz)")
    parser.add_argument("--namespace", default="", help="namespace of the bridge")
    parser.add_argument(
        "--wait-s", type=float, default=30.0, help="how long to wait for the bridge (%(default)g)"
    )
    group = parser.add_argument_group("import options, for foreign formats")
    for name, text in _IMPORT_HELP.items():
        group.add_argument(f"--{name.replace('_', '-')}", dest=name, help=text)


PROGRAM = Program(
    "replay",
    "Replay a trajectory on a running bridge: our own format (.npz), RoboVerse v2 (.pkl, .pkl.gz), "
    "a LeRobot dataset folder, ALOHA or robomimic HDF5.",
    add_arguments=_add_arguments,
)


def _import_options(given: argparse.Namespace) -> ImportOptions:
    texts = {name: getattr(given, name) for name in _IMPORT_HELP}
    if given.restore_states and given.states is None and given.file.suffix != ".npz":
        texts["states"] = "all"
    given_texts = {name: text for name, text in texts.items() if text is not None}
    return parse_options(ImportOptions, given_texts, "import option")


def _replay(given: argparse.Namespace, options: ImportOptions, stop: StopFlag) -> ReplayReport:
    trajectory = read_trajectory(given.file.expanduser(), options)
    replay_options = ReplayOptions(given.restore_states, given.speed, clip=given.clip)
    node = Node("replay", start_parameter_services=False, enable_rosout=False)
    client = BridgeClient(node, given.namespace)
    try:
        spec = client.connect(given.wait_s)
        recording = Recording(spec, {"replay_of": trajectory.task})
        with _stage(trajectory, given.restore_states) as stage:
            subscribers: list[Subscriber] = [Progress(functools.partial(_show, stage))]
            if given.output and not given.restore_states:
                subscribers.append(recording)
            replayer = Replayer(client, spec, subscribers, lambda: stop.requested)
            report = replayer.run(trajectory, replay_options)
    finally:
        client.close()
        node.destroy_node()
    if recording.trajectory is not None:
        print(f"wrote {recording.trajectory.save(given.output)}")
    return report


def _stage(trajectory: Trajectory, restore: bool) -> Stage:
    total = trajectory.num_states if restore else trajectory.num_steps
    return Stage(trajectory.task[:40], "step", total)


def _show(stage: Stage, step: int, reward: float, fps: float) -> None:
    stage.reach(step, reward=f"{reward:.3g}")


def _print(report: ReplayReport) -> None:
    episode, error = report.episode, report.max_joint_error
    how = "canceled" if episode.canceled else "success" if episode.success else "done"
    print(
        f"{how}: {episode.steps} steps, reward {episode.total_reward:.4g}, "
        f"{episode.wall_time_s:.2f} s"
        + (f", largest joint error {error:.4g}" if error is not None else "")
    )


if __name__ == "__main__":
    sys.exit(main())
