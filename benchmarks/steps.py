"""What the bridge adds to a control step, beside what people use today.

The simulator is the default task, in a process of its own for ours and for every peer; each
turn takes one step (or one chunk) of each in turn, so that all see the same machine. Overhead
is the round trip less the time that the server spent in the simulator.
"""

from __future__ import annotations

import contextlib
import socket
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from peers import KINDS, PeerClient
from rows import Row, row
from sim_bridge.remote_env import RemoteEnv
from sim_bridge.testing import Process, free_domain_id, wait_until
from tqdm import tqdm

_SIMULATOR, _TASK = "gymnasium", "SO101PickPlace-v0"
_HOLD = np.array([0.0, 0.0, 0.0, 1.0], dtype=np.float32)
_EPISODE = 250  # the task truncates at 300
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
    """Overheads [s] per call, each turn calling everyone once."""
    actions = np.tile(_HOLD, (length, 1))
    samples: dict[str, list[float]] = {"ours": [], **{kind: [] for kind in peers}}
    warm_up = max(2, turns // 20)
    taken = _EPISODE
    for turn in tqdm(range(turns + warm_up), desc=f"{length} step(s) a call", leave=False):
        if taken + length > _EPISODE:
            env.reset(seed=0)
            taken = 0
        taken += length
        start = time.perf_counter()
        env.step_chunk(actions)
        ours = time.perf_counter() - start - env.sim_wall_time_s
        for kind, peer in peers.items():
            start = time.perf_counter()
            spent = peer.step(actions)["sim_wall_time"]
            if turn >= warm_up:
                samples[kind].append(time.perf_counter() - start - spent)
        if turn >= warm_up:
            samples["ours"].append(ours)
    return samples


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
