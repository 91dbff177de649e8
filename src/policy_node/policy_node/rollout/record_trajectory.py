"""Record one episode into a trajectory file, with simulator and policy in this process."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from policy_node.execution.open_loop import OpenLoop
from policy_node.policies.registry import DEFAULT_POLICY, open_policy
from policy_node.rollout.episodes import EpisodeRunner, step_limit
from policy_node.rollout.local_environment import LocalEnvironment
from sim_bridge.entry import exit_status
from sim_bridge.episodes.running import Progress
from sim_bridge.errors import OperationFailed
from sim_bridge.progress import Stage
from sim_bridge.simulators.registry import open_simulator, simulator_names
from sim_bridge.trajectories.recording import Recording
from sim_bridge.trajectories.trajectory import Trajectory


def record(simulator: str, task: str, policy: str, seed: int, max_steps: int) -> Trajectory:
    """The trajectory of one episode. Raises the errors of ``sim_bridge.errors``."""
    sim = open_simulator(simulator, task)
    try:
        source = open_policy(policy, sim.spec)
        total = step_limit(sim.spec, max_steps, print)
        recording = Recording(sim.spec, {"policy": policy})
        with Stage("recording", "step", total) as stage:
            runner = EpisodeRunner(
                LocalEnvironment(sim, source.spec.image_keys),
                OpenLoop(source.for_client("record")),
                sim.spec,
                total,
                [recording, Progress(lambda step, reward, fps: stage.reach(step))],
            )
            runner.run(seed)
        source.close()
        if recording.trajectory is None:
            raise OperationFailed("the episode has no steps")
        return recording.trajectory
    finally:
        sim.close()


def main(args: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="record_trajectory", description=__doc__)
    parser.add_argument("--simulator", default="gymnasium", help=", ".join(simulator_names()))
    parser.add_argument("--task", default="", help="default: the simulator's own")
    parser.add_argument(
        "--policy", default=DEFAULT_POLICY, help="policy address (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--max-steps", type=int, default=0, help="0: the task's own limit")
    parser.add_argument("--output", type=Path, required=True, help="the .npz file to write")
    options = parser.parse_args(args)
    return exit_status("record_trajectory", lambda: _work(options))


def _work(options: argparse.Namespace) -> int:
    trajectory = record(
        options.simulator, options.task, options.policy, options.seed, options.max_steps
    )
    path = trajectory.save(options.output)
    outcome = "success" if trajectory.success else "no success"
    print(f"{path}: {trajectory.num_steps} steps, {outcome}, {path.stat().st_size / 1e3:.1f} kB")
    return 0 if trajectory.success else 1


if __name__ == "__main__":
    sys.exit(main())
