"""Policies for tests, as ``python:slow_policies:...``."""

from __future__ import annotations

import time

import numpy as np

from policy_node.policy import PolicySpec

INFERENCE_S = 0.05


class Batching:
    """Takes as long for many observations as for one; answers their step."""

    def __init__(self, sim_spec):
        self._width = sim_spec.action.size
        self.spec = PolicySpec("slow", f"takes {INFERENCE_S} s", max_batch=8)

    def for_client(self, client_id):
        return self

    def infer(self, observation):
        return self.infer_batch([observation])[0]

    def infer_batch(self, observations):
        time.sleep(INFERENCE_S)
        return [np.full((2, self._width), o.step) for o in observations]

    def reset(self, seed=None, instruction=""):
        pass

    def close(self):
        pass


def batching(sim_spec):
    return Batching(sim_spec)
