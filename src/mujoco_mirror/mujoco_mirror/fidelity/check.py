"""``python -m mujoco_mirror.fidelity``: does the mirror show what the simulator has?

Plays a recorded trajectory's joint targets in each simulator, mirrors every state, and prints the
largest and mean error of every link. Exit status 1 when a limit is passed.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import mujoco
import numpy as np

from mujoco_mirror.fidelity.errors import Limits, check_episode
from mujoco_mirror.model.map_rules import load_rules
from mujoco_mirror.model.mirror import Mirror
from sim_bridge.entry import exit_status
from sim_bridge.errors import InvalidRequest
from sim_bridge.files.model_files import resolve_uri
from sim_bridge.progress import track
from sim_bridge.simulators.protocol import Simulator
from sim_bridge.simulators.registry import open_simulator
from sim_bridge.trajectories.trajectory import Trajectory, load_trajectory
from sim_bridge.types import LinkPoses, SimState


def _arguments(args: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="fidelity", description=__doc__)
    parser.add_argument("trajectory", type=Path, help="recorded trajectory with joint targets")
    parser.add_argument(
        "--scene", default="so101", help="MJCF scene of the simulators (default so101)"
    )
    parser.add_argument(
        "--simulators", default="sapien,mujoco", help="comma-separated (default sapien,mujoco)"
    )
    parser.add_argument("--map-rules", type=Path, help="YAML rules of the mirror")
    parser.add_argument("--limit-mm", type=float, default=1.0, help="largest link distance [mm]")
    parser.add_argument("--limit-deg", type=float, default=0.1, help="largest link angle [deg]")
    return parser.parse_args(args)


def episode(simulator: Simulator, trajectory: Trajectory) -> Iterator[tuple[SimState, LinkPoses]]:
    """States and link poses while the recorded targets are tracked from the recorded start."""
    order = _target_order(simulator, trajectory)
    simulator.reset(seed=0, state=trajectory.state(0))
    yield simulator.state(), simulator.link_poses()
    for targets in trajectory.target_positions[1:]:
        simulator.step(targets[order])
        yield simulator.state(), simulator.link_poses()


def _target_order(simulator: Simulator, trajectory: Trajectory) -> list[int]:
    missing = [n for n in simulator.spec.action.names if n not in trajectory.target_names]
    if missing:
        raise InvalidRequest(
            f"the trajectory has no targets for {', '.join(missing)}; "
            f"it has: {', '.join(trajectory.target_names) or 'none'}"
        )
    return [trajectory.target_names.index(n) for n in simulator.spec.action.names]


def _check(name: str, options: argparse.Namespace, trajectory: Trajectory, limits: Limits) -> bool:
    simulator = open_simulator(
        name, options.scene, kwargs={"control_period_s": trajectory.control_period_s}
    )
    try:
        path = resolve_uri(simulator.spec.model.uri)
        rules = load_rules(options.map_rules) if options.map_rules else None
        mirror = Mirror(mujoco.MjModel.from_xml_path(str(path)), rules)
        steps = episode(simulator, trajectory)
        progress = track(steps, name, "step", trajectory.num_states, keep=False)
        table, joint_error = check_episode(mirror, progress)
    finally:
        simulator.close()
    faithful = table.within(limits)
    print(f"\n{name} ({simulator.spec.simulator_version}) -> mujoco {mujoco.__version__}")
    print(f"{trajectory.num_states} states, joint error {joint_error:.1e} rad\n{table}")
    position, angle = table.largest()
    print(
        f"{'ok' if faithful else 'OVER THE LIMIT'}: "
        f"{1e3 * position:.2g} of {options.limit_mm:g} mm, "
        f"{np.degrees(angle):.2g} of {options.limit_deg:g} deg"
    )
    return faithful


def main(args: list[str] | None = None) -> int:
    options = _arguments(args)
    limits = Limits(1e-3 * options.limit_mm, float(np.radians(options.limit_deg)))

    def work() -> int:
        trajectory = load_trajectory(options.trajectory)
        names = options.simulators.split(",")
        return 0 if all([_check(n, options, trajectory, limits) for n in names]) else 1

    return exit_status("fidelity", work)
