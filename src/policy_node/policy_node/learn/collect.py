"""Collect demonstrations of the SO-101 task through simulator bridges.

ros2 run policy_node collect_demonstrations --episodes 800 --num-envs 2 --output demos.npz
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from policy_node.evaluate.connection import BridgeConnection, connected
from policy_node.execution.report import ExecutionReport
from policy_node.learn.dataset import Demonstrations, Episode
from policy_node.learn.demonstrator import (
    Demonstrator,
    Perturbation,
    PerturbationSettings,
    PolicyBursts,
)
from policy_node.learn.so101 import SPEC, TASK
from policy_node.policies.registry import open_policy
from policy_node.policy import Policy
from policy_node.rollout.bridge_environment import BridgeEnvironment
from policy_node.rollout.episodes import EpisodeRunner
from sim_bridge.entry import exit_status
from sim_bridge.files.output import check_folder, writing
from sim_bridge.processes.bridges import LocalBridges
from sim_bridge.processes.domains import free_domain_id
from sim_bridge.progress import Stage
from sim_bridge.types import Observation

_MAX_STEPS = 200
_UNDISTURBED_FRACTION = 0.15


class DisturbedTeacher:
    """A ``Strategy``: the teacher drives, disturbed, and notes what it would have done.

    With a ``policy``, that policy is what disturbs it.
    """

    def __init__(self, settings: PerturbationSettings, policy: Policy | None = None) -> None:
        self._settings = settings
        self._policy = policy
        self._teacher = Demonstrator()

    def reset(self, seed: int | None = None, instruction: str = "") -> None:
        rng = np.random.default_rng(seed)
        disturbed = rng.random() >= _UNDISTURBED_FRACTION
        self._disturbance = self._disturb(rng) if disturbed else None
        self._states: list[np.ndarray] = []
        self._actions: list[np.ndarray] = []
        self._followed: list[bool] = []

    def next_actions(self, observation: Observation) -> np.ndarray:
        action, other = self._teacher.act(observation), False
        self._states.append(SPEC.state(observation))
        self._actions.append(action)
        if self._disturbance:
            action, other = self._disturbance.apply(action, observation)
        self._followed.append(not other)
        return action[None]

    def report(self) -> ExecutionReport:
        return ExecutionReport()

    def close(self) -> None:
        pass

    def demonstration(self, seed: int) -> Episode:
        """The episode that just ended."""
        return Episode(
            seed, np.array(self._states), np.array(self._actions), np.array(self._followed)
        )

    def _disturb(self, rng: np.random.Generator) -> Perturbation | PolicyBursts:
        if self._policy is not None:
            return PolicyBursts(self._policy, rng)
        return Perturbation(self._settings, rng)


def collect(
    bridges: Sequence[BridgeConnection],
    seeds: Sequence[int],
    settings: PerturbationSettings,
    policy: Path | None = None,
) -> Demonstrations:
    """One episode per seed, shared out over the bridges; the failed ones are left out.

    What an episode holds depends on its seed alone, not on how many bridges there are.
    """
    source = open_policy(str(policy), bridges[0].spec) if policy else None
    teachers = [
        DisturbedTeacher(settings, source.for_client("") if source else None) for _ in bridges
    ]
    with Stage("collecting", "episode", len(seeds)) as stage:

        def work(bridge: BridgeConnection, teacher: DisturbedTeacher, first: int) -> list[Episode]:
            runner = EpisodeRunner(
                BridgeEnvironment(bridge.client), teacher, bridge.spec, _MAX_STEPS
            )
            episodes = []
            for seed in seeds[first :: len(bridges)]:
                if runner.run(seed).success:
                    episodes.append(teacher.demonstration(seed))
                stage.advance()
            return episodes

        with ThreadPoolExecutor(len(bridges)) as pool:
            parts = list(pool.map(work, bridges, teachers, range(len(bridges))))
    episodes = sorted((e for part in parts for e in part), key=lambda e: e.seed)
    return Demonstrations(tuple(episodes), _description(seeds, settings, policy))


def _description(
    seeds: Sequence[int], settings: PerturbationSettings, policy: Path | None
) -> dict[str, Any]:
    return {
        "task": TASK,
        "seeds": [int(seeds[0]), int(seeds[-1])],
        "attempted": len(seeds),
        "undisturbed_fraction": _UNDISTURBED_FRACTION,
        "disturbed_by": asdict(settings) if policy is None else "an earlier policy",
    }


def main(args: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="collect_demonstrations", description=__doc__.split("\n\n")[0]
    )
    parser.add_argument("--episodes", type=int, default=800)
    parser.add_argument("--seed", type=int, default=100_000, help="of the first episode")
    parser.add_argument("--num-envs", type=int, default=2)
    parser.add_argument("--output", type=Path, required=True, metavar="FILE.npz")
    parser.add_argument(
        "--policy", type=Path, metavar="CHECKPOINT", help="disturb by letting this policy drive"
    )
    chosen = parser.parse_args(args)
    return exit_status(parser.prog, lambda: _run(chosen), "interrupted; nothing was written")


def _run(chosen: argparse.Namespace) -> None:
    check_folder(chosen.output.absolute().parent)
    seeds = range(chosen.seed, chosen.seed + chosen.episodes)
    domain = free_domain_id()
    with tempfile.TemporaryDirectory() as logs:
        bridges = LocalBridges(chosen.num_envs, TASK, "gymnasium", "", domain, Path(logs))
        with bridges, connected(bridges.namespaces, domain, bridges.check) as connections:
            demonstrations = collect(connections, seeds, PerturbationSettings(), chosen.policy)
    with writing(chosen.output):
        chosen.output.parent.mkdir(parents=True, exist_ok=True)
        demonstrations.save(chosen.output)
    print(
        f"{chosen.output}: {len(demonstrations.episodes)} of {len(seeds)} episodes succeeded, "
        f"{demonstrations.steps} steps"
    )


if __name__ == "__main__":
    raise SystemExit(main())
