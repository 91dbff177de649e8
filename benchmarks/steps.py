"""What the bridge adds to a control step, beside what people use today.

The simulator is the default task, in a process of its own for ours and for every peer; blocks
of steps go to each in turn, so that all see the same machine. Overhead is the round trip less
the time that the server spent in the simulator.
"""

from __future__ import annotations

import contextlib
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from peers import KINDS, PeerClient
from rows import Row, row
from tqdm import tqdm

from sim_bridge.remote_env import RemoteEnv
from sim_bridge.testing import Process, free_domain_id, wait_until

_SIMULATOR, _TASK = "gymnasium", "SO101PickPlace-v0"
_HOLD = np.array([0.0, 0.0, 0.0, 1.0], dtype=np.float32)
_BLOCK = 48  # steps; far from the end of the episode
_SINGLE_BUDGET_MS, _CHUNK_BUDGET_MS = 0.6, 0.1


def measure(steps: int = 1000, chunks: int = 120) -> list[Row]:
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        peers = {kind: stack.enter_context(_peer(kind, folder)) for kind in KINDS}
        env = stack.enter_context(_ours(folder))
        single = _alternate(env, peers, 1, steps)
        chunk = _alternate(env, peers, 16, chunks)
    return [
        _row("step_overhead_ms", single, 1, _SINGLE_BUDGET_MS),
        _row("chunk16_overhead_per_step_ms", chunk, 16, _CHUNK_BUDGET_MS),
    ]


def _row(name: str, samples: dict[str, list[float]], length: int, budget: float) -> Row:
    scaled = {who: [s * 1e3 / length for s in values] for who, values in samples.items()}
    return row(name, "ms", scaled.pop("ours"), scaled, budget)


def _alternate(
    env: RemoteEnv, peers: dict[str, PeerClient], length: int, turns: int
) -> dict[str, list[float]]:
    """Overheads [s] per call of ``turns`` calls to everyone, in blocks."""
    actions = np.tile(_HOLD, (length, 1))
    samples: dict[str, list[float]] = {"ours": [], **{kind: [] for kind in peers}}
    calls = max(1, _BLOCK // length)
    blocks = turns // calls
    for block in tqdm(range(blocks + 1), desc=f"{length} step(s) a call", leave=False):
        env.reset(seed=0)
        measured = {"ours": _block(partial(_step_ours, env), actions, calls)}
        for kind, peer in peers.items():
            measured[kind] = _block(partial(_step_peer, peer), actions, calls)
        if block:  # the first one warms up
            for who, values in measured.items():
                samples[who] += values
    return samples


def _block(step: Callable[[np.ndarray], float], actions: np.ndarray, calls: int) -> list[float]:
    """Overheads [s] of calls one after the other: round trip less ``step``'s own time."""
    overheads = []
    for _ in range(calls):
        start = time.perf_counter()
        spent = step(actions)
        overheads.append(time.perf_counter() - start - spent)
    return overheads


def _step_ours(env: RemoteEnv, actions: np.ndarray) -> float:
    env.step_chunk(actions)
    return env.sim_wall_time_s


def _step_peer(peer: PeerClient, actions: np.ndarray) -> float:
    return peer.step(actions)["sim_wall_time"]


@contextlib.contextmanager
def _peer(kind: str, folder: Path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, str(Path(__file__).with_name("peers.py")), kind, str(port)]
    with Process([*command, _SIMULATOR, _TASK], folder / kind):
        client = wait_until(lambda: _connected(kind, port), 60.0, f"{kind} to serve")
        client.step(_HOLD[None])
        yield client
        client.close()


def _connected(kind: str, port: int) -> PeerClient | None:
    try:
        return PeerClient(kind, port)
    except OSError:
        return None


@contextlib.contextmanager
def _ours(folder: Path):
    domain_id = free_domain_id()
    environment = {"ROS_DOMAIN_ID": str(domain_id)}
    arguments = ["--ros-args", "-p", f"simulator:={_SIMULATOR}", "-p", f"task:={_TASK}"]
    with Process.module("sim_bridge.node", *arguments, log=folder / "bridge", env=environment):
        env = RemoteEnv(domain_id=domain_id, connect_timeout_s=60.0)
        yield env
        env.close()
