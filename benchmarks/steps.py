"""What the bridge adds to a control step, beside what people use today.

The simulator is in a process of its own for ours and for every peer; blocks of steps go to each
in turn, so that all see the same machine. Overhead is the round trip less the time that the
server spent in the simulator. Two simulators: a scene that leaves the caches warm, and the default
task, whose physics take so long that both ends wake up cold, which doubles everybody's overhead.
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

_SCENE = ("mujoco", "so101")  # 0.3 ms of physics a step
_TASK = ("gymnasium", "SO101PickPlace-v0")  # 5 ms of physics a step
_BLOCK = 48  # steps; far from the end of the episode
_SINGLE_BUDGET_MS, _CHUNK_BUDGET_MS = 0.6, 0.1


def measure(steps: int = 1000, chunks: int = 120) -> list[Row]:
    rows = []
    with _servers(*_SCENE) as (env, peers):
        single = _alternate(env, peers, 1, steps)
        rows.append(_row("step_overhead_ms", single, 1, _SINGLE_BUDGET_MS))
    with _servers(*_TASK) as (env, peers):
        single = _alternate(env, peers, 1, steps)
        chunk = _alternate(env, peers, 16, chunks)
        rows.append(_row("step_overhead_after_5ms_of_physics_ms", single, 1, _SINGLE_BUDGET_MS))
        rows.append(_row("chunk16_overhead_per_step_ms", chunk, 16, _CHUNK_BUDGET_MS))
    return rows


@contextlib.contextmanager
def _servers(simulator: str, task: str):
    """A bridge and every peer, each with this simulator in a process of its own."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        peers = {kind: stack.enter_context(_peer(kind, simulator, task, folder)) for kind in KINDS}
        yield stack.enter_context(_ours(simulator, task, folder)), peers


def _row(name: str, samples: dict[str, list[float]], length: int, budget: float) -> Row:
    scaled = {who: [s * 1e3 / length for s in values] for who, values in samples.items()}
    return row(name, "ms", scaled.pop("ours"), scaled, budget)


def _alternate(
    env: RemoteEnv, peers: dict[str, PeerClient], length: int, turns: int
) -> dict[str, list[float]]:
    """Overheads [s] per call of ``turns`` calls to everyone, in blocks."""
    actions = np.tile(_rest(env), (length, 1))
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


def _rest(env: RemoteEnv) -> np.ndarray:
    low, high = env.action_space.low, env.action_space.high
    return np.clip(np.zeros_like(low), low, high)


def _step_ours(env: RemoteEnv, actions: np.ndarray) -> float:
    env.step_chunk(actions)
    return env.sim_wall_time_s


def _step_peer(peer: PeerClient, actions: np.ndarray) -> float:
    return peer.step(actions)["sim_wall_time"]


@contextlib.contextmanager
def _peer(kind: str, simulator: str, task: str, folder: Path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, str(Path(__file__).with_name("peers.py")), kind, str(port)]
    with Process([*command, simulator, task], folder / kind):
        client = wait_until(lambda: _connected(kind, port), 60.0, f"{kind} to serve")
        yield client
        client.close()


def _connected(kind: str, port: int) -> PeerClient | None:
    try:
        return PeerClient(kind, port)
    except OSError:
        return None


@contextlib.contextmanager
def _ours(simulator: str, task: str, folder: Path):
    domain_id = free_domain_id()
    environment = {"ROS_DOMAIN_ID": str(domain_id)}
    arguments = ["--ros-args", "-p", f"simulator:={simulator}", "-p", f"task:={task}"]
    with Process.module("sim_bridge.node", *arguments, log=folder / "bridge", env=environment):
        env = RemoteEnv(domain_id=domain_id, connect_timeout_s=60.0)
        yield env
        env.close()
