"""What the bridge adds to a control step, beside what people use today.

The simulator is in a process of its own for ours and for every peer; blocks of steps go to each
in turn, so that all see the same machine. Overhead is the round trip less the time that the
server spent in the simulator. Two simulators: a scene that leaves the caches warm, and the default
task, which keeps both ends waiting so long that they wake up cold, which doubles everybody's
overhead or worse. The empty ROS service is no peer but the floor: nothing over ``rclpy`` can be
below it.

Any simulator, beside itself without a wire and beside what peers its environment has:

    tools/run_isaac python benchmarks/steps.py isaac_lab SO101PickPlace-JointPosition-v0 \\
        --options '{"physics": "physx"}'
"""

from __future__ import annotations

import argparse
import contextlib
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from bare_service import LENGTHS, StepClient
from peers import KINDS, PeerClient, rest_action
from rows import Row, row

from sim_bridge import RemoteEnv
from sim_bridge.processes.testing import Process, free_domain_id, wait_until
from sim_bridge.progress import track

_SCENE = ("mujoco", "so101")  # 0.3 ms of physics a step
_TASK = ("gymnasium", "SO101PickPlace-v0")  # 5 ms of physics a step
_BLOCK = 48  # steps; far from the end of the episode
_CHUNK = max(LENGTHS)
_SINGLE_BUDGET_MS, _CHUNK_BUDGET_MS = 0.6, 0.1
_START_S = 300.0  # Isaac compiles kernels at its first start

Peer = PeerClient | StepClient


class Call(NamedTuple):
    """What the simulator took of a round trip, and the rest of it."""

    overhead_s: float
    simulated_s: float


def measure(steps: int = 1000, chunks: int = 120) -> list[Row]:
    rows = []
    with _servers(*_SCENE) as (env, peers):
        single = _alternate(env, peers, 1, steps)
        rows.append(_row("step_overhead_ms", single, 1, _SINGLE_BUDGET_MS))
    with _servers(*_TASK) as (env, peers):
        single = _alternate(env, peers, 1, steps)
        chunk = _alternate(env, peers, _CHUNK, chunks)
        rows.append(_row("step_overhead_after_5ms_of_physics_ms", single, 1, _SINGLE_BUDGET_MS))
        rows.append(_row("chunk16_overhead_per_step_ms", chunk, _CHUNK, _CHUNK_BUDGET_MS))
    return rows


@contextlib.contextmanager
def _servers(simulator: str, task: str, options: str = "{}"):
    """A bridge and every peer, each with this simulator in a process of its own."""
    hosted = simulator, task, options
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        peers = {kind: stack.enter_context(_peer(kind, hosted, folder)) for kind in KINDS}
        peers["empty ROS service"] = stack.enter_context(_bare(hosted, folder))
        yield stack.enter_context(_ours(*hosted, folder)), peers


def _row(name: str, samples: dict[str, list[Call]], length: int, budget: float) -> Row:
    scaled = {w: [c.overhead_s * 1e3 / length for c in calls] for w, calls in samples.items()}
    return row(name, "ms", scaled.pop("ours"), scaled, budget)


def _alternate(
    env: RemoteEnv, peers: dict[str, Peer], length: int, turns: int
) -> dict[str, list[Call]]:
    """``turns`` calls of ``length`` steps to everyone, in blocks."""
    rest = rest_action(env.action_space.low, env.action_space.high)
    actions = np.tile(rest, (length, 1))
    samples: dict[str, list[Call]] = {"ours": [], **{kind: [] for kind in peers}}
    calls = max(1, _BLOCK // length)
    blocks = turns // calls
    for block in track(range(blocks + 1), f"{length} step(s) a call", "block", keep=False):
        env.reset(seed=0)
        measured = {"ours": _block(partial(_step_ours, env), actions, calls)}
        for kind, peer in peers.items():
            measured[kind] = _block(partial(_step_peer, peer), actions, calls)
        if block:  # the first one warms up
            for who, values in measured.items():
                samples[who] += values
    return samples


def _block(step: Callable[[np.ndarray], float], actions: np.ndarray, calls: int) -> list[Call]:
    """Calls one after the other; ``step`` returns what the simulator took [s]."""
    samples = []
    for _ in range(calls):
        start = time.perf_counter()
        spent = step(actions)
        samples.append(Call(time.perf_counter() - start - spent, spent))
    return samples


def _step_ours(env: RemoteEnv, actions: np.ndarray) -> float:
    env.step_chunk(actions)
    return env.sim_wall_time_s


def _step_peer(peer: Peer, actions: np.ndarray) -> float:
    return peer.step(actions)["sim_wall_time"]


@contextlib.contextmanager
def _peer(kind: str, hosted: Sequence[str], folder: Path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, str(Path(__file__).with_name("peers.py")), kind, str(port)]
    with Process([*command, *hosted], folder / kind) as server:
        ready = partial(_connected, kind, port)
        client = wait_until(lambda: ready() or not server.running, _START_S, f"{kind} to serve")
        assert client is not True, server.output()
        yield client
        client.close()


def _connected(kind: str, port: int) -> PeerClient | None:
    try:
        return PeerClient(kind, port)
    except OSError:
        return None


@contextlib.contextmanager
def _bare(hosted: Sequence[str], folder: Path):
    domain_id = free_domain_id()
    command = [sys.executable, Path(__file__).with_name("bare_service.py"), *hosted]
    with Process(command, folder / "bare", {"ROS_DOMAIN_ID": str(domain_id)}):
        client = StepClient(domain_id)
        yield client
        client.close()


@contextlib.contextmanager
def _ours(simulator: str, task: str, options: str, folder: Path):
    domain_id = free_domain_id()
    environment = {"ROS_DOMAIN_ID": str(domain_id)}
    parameters = f"simulator:={simulator}", f"task:={task}", f"task_options:={options!r}"
    arguments = ["--ros-args", *(word for p in parameters for word in ("-p", p))]
    with Process.module("sim_bridge", *arguments, log=folder / "bridge", env=environment):
        env = RemoteEnv(domain_id=domain_id, connect_timeout_s=_START_S)
        yield env
        env.close()


def compare(simulator: str, task: str, options: str, calls: int) -> str:
    """A table: steps per second and what is added to each, one a call and in chunks."""
    lines = [f"{'':22}steps/s   added to a step, ms: p50, p99"]
    with _servers(simulator, task, options) as (env, peers):
        for length in (1, _CHUNK):
            samples = _alternate(env, peers, length, calls)
            alone_ms = 1e3 * np.median([c.simulated_s for c in samples["ours"]]) / length
            lines.append(f"in process{'':12}{1e3 / alone_ms:7.1f}")
            for who, made in samples.items():
                added = [1e3 * c.overhead_s / length for c in made]
                p50, p99 = np.percentile(added, (50, 99))
                name = f"{who}, {length} a call"
                lines.append(f"{name:22}{1e3 / (alone_ms + p50):7.1f}   {p50:.3f}, {p99:.3f}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("simulator")
    parser.add_argument("task")
    parser.add_argument("--options", default="{}", help="task options, JSON")
    parser.add_argument("--calls", type=int, default=192, help="of each kind, to each")
    chosen = parser.parse_args()
    print(compare(chosen.simulator, chosen.task, chosen.options, chosen.calls))


if __name__ == "__main__":
    main()
