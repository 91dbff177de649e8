"""``ros2 run sim_bridge replay FILE``: replay a trajectory on a running bridge."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import rclpy
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from rclpy.utilities import remove_ros_args
from tqdm import tqdm

from sim_bridge.client.bridge_client import BridgeClient
from sim_bridge.errors import BridgeError, Canceled
from sim_bridge.ros.interrupts import StopFlag
from sim_bridge.ros.spec import receive_spec
from sim_bridge.trajectories.importers.formats import read_trajectory
from sim_bridge.trajectories.importers.options import ImportOptions, read_options
from sim_bridge.trajectories.replayer import Replayer, ReplayOptions, ReplayProgress, ReplayReport
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
    given = _parser().parse_args(remove_ros_args(args if args is not None else sys.argv)[1:])
    stop = StopFlag().install()
    rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
    try:
        report = _replay(given, _import_options(given), stop)
        _print(report)
        return 0 if not report.canceled else 130
    except BridgeError as error:
        print(f"replay: {error}", file=sys.stderr)
        return 130 if isinstance(error, Canceled) else 2
    finally:
        rclpy.try_shutdown()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="replay",
        description="Replay a trajectory on a running bridge: our own format (.npz), RoboVerse v2 "
        "(.pkl, .pkl.gz), a LeRobot dataset folder, ALOHA or robomimic HDF5.",
    )
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
    return parser


def _import_options(given: argparse.Namespace) -> ImportOptions:
    texts = {name: getattr(given, name) for name in _IMPORT_HELP}
    if given.restore_states and given.states is None and given.file.suffix != ".npz":
        texts["states"] = "all"
    return read_options({name: text for name, text in texts.items() if text is not None})


def _replay(given: argparse.Namespace, options: ImportOptions, stop: StopFlag) -> ReplayReport:
    trajectory = read_trajectory(given.file.expanduser(), options)
    replay_options = ReplayOptions(
        given.restore_states, given.speed, record=bool(given.output), clip=given.clip
    )
    node = Node("replay", start_parameter_services=False, enable_rosout=False)
    client = BridgeClient(node, given.namespace)
    try:
        spec = receive_spec(node, given.namespace, given.wait_s)
        client.wait_for_bridge(given.wait_s)
        with _bar(trajectory, given.restore_states) as bar:
            replayer = Replayer(client, spec, _Shown(bar), lambda: stop.requested)
            report = replayer.run(trajectory, replay_options)
        client.release()
    finally:
        client.close()
        node.destroy_node()
    if given.output and report.trajectory is not None:
        print(f"wrote {report.trajectory.save(given.output)}")
    return report


def _bar(trajectory: Trajectory, restore: bool) -> tqdm:
    total = trajectory.num_states if restore else trajectory.num_steps
    return tqdm(total=total, desc=trajectory.task[:40], unit="step")


class _Shown:
    """Moves a progress bar."""

    def __init__(self, bar: tqdm) -> None:
        self._bar = bar

    def __call__(self, progress: ReplayProgress) -> None:
        self._bar.update(progress.step - self._bar.n)
        self._bar.set_postfix(reward=f"{progress.reward:.3g}")


def _print(report: ReplayReport) -> None:
    how = "canceled" if report.canceled else "success" if report.success else "done"
    error = report.max_joint_error
    print(
        f"{how}: {report.steps} steps, reward {report.total_reward:.4g}, "
        f"{report.wall_time_s:.2f} s"
        + (f", largest joint error {error:.4g}" if error is not None else "")
    )


if __name__ == "__main__":
    sys.exit(main())
