"""Policies that cost nothing, or a fixed time, served by us and by the peer.

``python:policies_for_benchmarks:zero`` and ``...:batching`` for the policy node;
``python policies_for_benchmarks.py PORT`` serves ``zero`` with openpi's own server.
"""

from __future__ import annotations

import sys
import time

import numpy as np

from policy_node.policy import PolicySpec
from sim_bridge.types import Observation, SimSpec

HORIZON = 16
INFERENCE_S = 0.05


class Fixed:
    """Answers zeros after ``inference_s``, for one observation or many."""

    def __init__(self, sim_spec: SimSpec, inference_s: float, max_batch: int) -> None:
        self._chunk = np.zeros((HORIZON, sim_spec.action.size))
        self._inference_s = inference_s
        self.spec = PolicySpec("fixed", f"{inference_s} s", horizon=HORIZON, max_batch=max_batch)

    def for_client(self, client_id: str) -> Fixed:
        return self

    def infer(self, observation: Observation) -> np.ndarray:
        return self.infer_batch([observation])[0]

    def infer_batch(self, observations: list[Observation]) -> list[np.ndarray]:
        if self._inference_s:
            time.sleep(self._inference_s)
        return [self._chunk] * len(observations)

    def reset(self, seed: int | None = None, instruction: str = "") -> None:
        pass

    def close(self) -> None:
        pass


def zero(sim_spec: SimSpec) -> Fixed:
    return Fixed(sim_spec, 0.0, 1)


def batching(sim_spec: SimSpec) -> Fixed:
    return Fixed(sim_spec, INFERENCE_S, 8)


class OpenpiZero:
    """``zero`` in openpi's terms."""

    def __init__(self, action_size: int) -> None:
        self._chunk = np.zeros((HORIZON, action_size))

    def infer(self, obs: dict) -> dict:
        return {"actions": self._chunk}


def main() -> None:
    from openpi_server.websocket_policy_server import WebsocketPolicyServer

    WebsocketPolicyServer(OpenpiZero(4), "127.0.0.1", int(sys.argv[1])).serve_forever()


if __name__ == "__main__":
    main()
