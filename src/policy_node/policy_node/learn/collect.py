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
from tqdm import tqdm

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
from sim_bridge.client.env import RemoteEnv
from sim_bridge.processes.bridges import LocalBridges
from sim_bridge.processes.domains import free_domain_id

_MAX_STEPS = 200
_UNDISTURBED_FRACTION = 0.15
_CONNECT_TIMEOUT_S = 60.0


class Collector:
    """Runs the teacher in one environment, disturbed, and records what it would have done.

    With a ``policy``, that policy is what disturbs it.
    """

    def __init__(
        self, env: RemoteEnv, settings: PerturbationSettings, policy: Policy | None = None
    ) -> None:
        self._env = env
        self._settings = settings
        self._policy = policy
        self._teacher = Demonstrator()

    def episode(self, seed: int) -> Episode | None:
        """The episode with this seed; None when the teacher did not succeed in time."""
        rng = np.random.default_rng(seed)
        disturbed = rng.random() >= _UNDISTURBED_FRACTION
        disturbance = self._disturbance(rng) if disturbed else None
        self._env.reset(seed=seed)
        states, actions, followed = [], [], []
        for _ in range(_MAX_STEPS):
            observation = self._env.last_observation
            action = self._teacher.act(observation)
            states.append(SPEC.state(observation))
            actions.append(action)
            executed, other = (
                disturbance.apply(action, observation) if disturbance else (action, False)
            )
            followed.append(not other)
            _, _, terminated, truncated, info = self._env.step(executed)
            if terminated or truncated:
                break
        if not info["success"]:
            return None
        return Episode(seed, np.array(states), np.array(actions), np.array(followed))

    def _disturbance(self, rng: np.random.Generator) -> Perturbation | PolicyBursts:
        if self._policy is not None:
            return PolicyBursts(self._policy, rng)
        return Perturbation(self._settings, rng)


def collect(
    envs: Sequence[RemoteEnv],
    seeds: Sequence[int],
    settings: PerturbationSettings,
    policy: Path | None = None,
) -> Demonstrations:
    """One episode per seed, shared out over the environments; the failed ones are left out.

    What an episode holds depends on its seed alone, not on how many environments there are.
    """
    source = open_policy(str(policy), envs[0].sim_spec) if policy else None
    collectors = [Collector(env, settings, source and source.for_client("")) for env in envs]
    with tqdm(total=len(seeds), desc="collecting", unit="episode") as progress:

        def work(index: int) -> list[Episode]:
            episodes = []
            for seed in seeds[index :: len(envs)]:
                episodes.append(collectors[index].episode(seed))
                progress.update()
            return [e for e in episodes if e is not None]

        with ThreadPoolExecutor(len(envs)) as pool:
            parts = list(pool.map(work, range(len(envs))))
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
    seeds = range(chosen.seed, chosen.seed + chosen.episodes)
    domain = free_domain_id()
    with tempfile.TemporaryDirectory() as logs:
        bridges = LocalBridges(chosen.num_envs, TASK, "gymnasium", "", domain, Path(logs))
        with bridges:
            envs = [
                RemoteEnv(
                    namespace, domain_id=domain, joints=True, connect_timeout_s=_CONNECT_TIMEOUT_S
                )
                for namespace in bridges.namespaces
            ]
            try:
                demonstrations = collect(envs, seeds, PerturbationSettings(), chosen.policy)
            finally:
                for env in envs:
                    env.close()
    chosen.output.parent.mkdir(parents=True, exist_ok=True)
    demonstrations.save(chosen.output)
    print(
        f"{chosen.output}: {len(demonstrations.episodes)} of {len(seeds)} episodes succeeded, "
        f"{demonstrations.steps} steps"
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
