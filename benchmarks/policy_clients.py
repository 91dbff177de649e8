"""Who asks a policy for a chunk, each in a process of its own, as in real life.

Side by side in one process they change each other's figures: where another client's memory lies
decides whether malloc gives a large buffer back to the kernel after each request, which costs
openpi's client up to half of its speed.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import numpy as np

from sim_bridge.types import Observation

_READY_S = 120.0
_AFTER_OTHERS = 2  # not counted: they bear what the one before left running
_ask: Callable[[], Any]  # of this process


def observation() -> Observation:
    """301 kB, in the layout of the default task."""
    rng = np.random.default_rng(0)
    return Observation(
        joint_names=tuple(f"so101/joint{i}" for i in range(6)),
        joint_positions=rng.normal(size=6),
        joint_velocities=np.zeros(6),
        images={k: rng.integers(0, 256, (224, 224, 3), np.uint8) for k in ("base", "wrist")},
        arrays={"agent_pos": np.zeros(14), "environment_state": np.zeros(6)},
        instruction="pick up the cube",
    )


class Asker:
    """``connect(where)``, a function of this module, returns the request to repeat; ``env`` is
    added to its environment."""

    def __init__(
        self, connect: Callable[[int], Callable[[], Any]], where: int, env: dict[str, str]
    ) -> None:
        self._pool = ProcessPoolExecutor(1, get_context("spawn"), _start, (connect, where, env))

    def block(self, turns: int) -> list[float]:
        """Round trips one after the other [ms]."""
        return self._pool.submit(_block, turns).result()

    def close(self) -> None:
        self._pool.shutdown()


def infer_chunk(domain_id: int) -> Callable[[], Any]:
    """From the observation to the array of actions."""
    from policy_node.rollout.policy_client import PolicyClient

    client = PolicyClient(_node(domain_id), client_id="ros")
    client.wait_for_policy(_READY_S)
    seen = observation()
    return lambda: client.infer(seen)


def bare_service(domain_id: int) -> Callable[[], Any]:
    """The same message each time, and the answer left a message."""
    from bare_service import INFER
    from sim_interfaces import srv

    from sim_bridge.ros.calls import Caller
    from sim_bridge.ros.convert import to_observation_msg

    caller = Caller(_node(domain_id), srv.InferChunk, INFER)
    if not caller.wait_for_service(_READY_S):
        raise TimeoutError(f"{caller.name} did not appear")
    request = srv.InferChunk.Request(observation=to_observation_msg(observation()))
    return lambda: caller.call(request, _READY_S)


def openpi(port: int) -> Callable[[], Any]:
    """With the request ready."""
    from openpi_client.websocket_client_policy import WebsocketClientPolicy

    from policy_node.policies.servers.key_map_file import load_key_map

    client = WebsocketClientPolicy("127.0.0.1", port)
    request = load_key_map("openpi").encode(observation())
    return lambda: client.infer(request)


def _node(domain_id: int) -> Any:
    import rclpy
    from rclpy.node import Node

    rclpy.init(domain_id=domain_id)
    return Node("asker")


def _start(connect: Callable[[int], Callable[[], Any]], where: int, env: dict[str, str]) -> None:
    global _ask
    os.environ.update(env)
    _ask = connect(where)


def _block(turns: int) -> list[float]:
    taken_ms = []
    for _ in range(turns + _AFTER_OTHERS):
        start = time.perf_counter()
        _ask()
        taken_ms.append(1e3 * (time.perf_counter() - start))
    return taken_ms[_AFTER_OTHERS:]
