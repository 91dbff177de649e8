"""A policy over the wire: InferChunk beside openpi's own client and server, and batching.

Round trip: an observation of 301 kB (two 224 x 224 images) for a chunk of 16 actions, from a
policy that computes nothing. Each turn asks everyone once, so that all see the same machine:
InferChunk over ROS, the openpi pair from PyPI, and openpi's client with our outward server.
Batching: four clients of a 50 ms policy that can batch, beside one client alone.

    python benchmarks/policy_round_trip.py
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import socket
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import rclpy
from openpi_client.websocket_client_policy import WebsocketClientPolicy
from policies_for_benchmarks import INFERENCE_S
from rclpy.context import Context
from rclpy.node import Node
from rows import Row, row
from tqdm import tqdm

from policy_node.policies.key_map_file import load_key_map
from policy_node.policy_client import PolicyClient
from sim_bridge.testing import Process, free_domain_id, wait_until
from sim_bridge.types import Observation

_CLIENTS = 4
_READY_S = 120.0
_HERE = Path(__file__).parent
_PROFILE = _HERE.parent / "launch" / "dds" / "local.xml"  # what the launch files use
_DDS = dict.fromkeys(
    ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE"), str(_PROFILE)
)


def measure(turns: int = 1000, rounds: int = 40) -> list[Row]:
    """For ``run.py``. The budget of the round trip is the peer's own, in the same run."""
    os.environ.update(_DDS)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        samples = _round_trips(stack, folder, turns)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        alone, together = _batching(stack, folder, rounds)
    ours, pair = samples["InferChunk"], samples["openpi pair"]
    budget = float(np.median(pair))
    peers = {"openpi pair": pair, "openpi client, our server": samples["openpi client"]}
    four = f"{_CLIENTS} clients of a batching {1e3 * INFERENCE_S:g} ms policy, a request each"
    return [
        row("InferChunk round trip, 301 kB", "ms", ours, peers, budget),
        row(four, "ms", together, {"one client": alone}, 1.5 * float(np.median(alone))),
    ]


def _observation() -> Observation:
    """In the layout of the default task."""
    rng = np.random.default_rng(0)
    return Observation(
        joint_names=tuple(f"so101/joint{i}" for i in range(6)),
        joint_positions=rng.normal(size=6),
        joint_velocities=np.zeros(6),
        images={k: rng.integers(0, 256, (224, 224, 3), np.uint8) for k in ("base", "wrist")},
        arrays={"agent_pos": np.zeros(14), "environment_state": np.zeros(6)},
        instruction="pick up the cube",
    )


def _round_trips(stack: contextlib.ExitStack, folder: Path, turns: int) -> dict[str, list[float]]:
    """Round trips [ms]."""
    observation, port = _observation(), _free_port()
    domain_id, ours_port = _graph(stack, folder, "zero")
    peer = Process([sys.executable, _HERE / "policies_for_benchmarks.py", port], folder / "openpi")
    stack.enter_context(peer)
    ros = _policy_client(stack, domain_id, "ros")
    wait_until(lambda: _listens(port), _READY_S, "openpi's server listens")
    wait_until(lambda: _listens(ours_port), _READY_S, "our openpi server listens")
    pair, client = (WebsocketClientPolicy("127.0.0.1", p) for p in (port, ours_port))
    request = load_key_map("openpi").encode(observation)
    asks = {
        "InferChunk": lambda: ros.infer(observation),
        "openpi pair": lambda: pair.infer(request),
        "openpi client": lambda: client.infer(request),
    }
    samples: dict[str, list[float]] = {who: [] for who in asks}
    warm_up = turns // 10
    names = list(asks)
    for turn in tqdm(range(turns + warm_up), desc="round trips", leave=False, mininterval=1.0):
        random.shuffle(names)  # whoever comes next bears what the one before left running
        for who in names:
            start = time.perf_counter()
            asks[who]()
            if turn >= warm_up:
                samples[who].append(1e3 * (time.perf_counter() - start))
    return samples


def _batching(stack, folder: Path, rounds: int) -> tuple[list[float], list[float]]:
    """Time of each client's request [ms]: one client alone, then four at once."""
    domain_id, _ = _graph(stack, folder, "batching")
    clients = [_policy_client(stack, domain_id, f"client{i}") for i in range(_CLIENTS)]
    small = Observation(instruction="pick up the cube")

    def run(client: PolicyClient) -> list[float]:
        taken = []
        for _ in range(rounds):
            start = time.perf_counter()
            client.infer(small)
            taken.append(1e3 * (time.perf_counter() - start))
        return taken

    alone = run(clients[0])
    with ThreadPoolExecutor(_CLIENTS) as pool:
        together = [t for taken in pool.map(run, clients) for t in taken]
    return alone, together


def _graph(stack: contextlib.ExitStack, folder: Path, policy: str) -> tuple[int, int]:
    """A bridge and a policy node; their domain, and the port of the outward server."""
    port = _free_port()
    path = os.pathsep.join([str(_HERE), os.environ.get("PYTHONPATH", "")])
    env = {"ROS_DOMAIN_ID": str(free_domain_id()), "PYTHONPATH": path, **_DDS}
    words = [f"policy:=python:policies_for_benchmarks:{policy}", f"serve_openpi_port:={port}"]
    words = [w for word in [*words, "serve_anonymously:=true"] for w in ("-p", word)]
    stack.enter_context(Process.module("sim_bridge.node", log=folder / "bridge", env=env))
    stack.enter_context(
        Process.module("policy_node.node", "--ros-args", *words, log=folder / "policy", env=env)
    )
    return int(env["ROS_DOMAIN_ID"]), port


def _policy_client(stack: contextlib.ExitStack, domain_id: int, name: str) -> PolicyClient:
    context = Context()
    rclpy.init(context=context, domain_id=domain_id)
    stack.callback(context.try_shutdown)
    client = PolicyClient(Node(name, context=context), client_id=name)
    client.wait_for_policy(_READY_S)
    return client


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--turns", type=int, default=1000, help="round trips of each")
    parser.add_argument("--rounds", type=int, default=40, help="requests of each client")
    chosen = parser.parse_args()
    rows = measure(chosen.turns, chosen.rounds)
    for r in rows:
        print(f"{r.name}: p50 {r.ours_p50:.2f}, p99 {r.ours_p99:.2f} {r.unit}")
        for who, peer in r.peers.items():
            ratio = r.ours_p50 / peer["p50"]
            print(f"  {who}: p50 {peer['p50']:.2f}, p99 {peer['p99']:.2f}; ours / it {ratio:.2f}")
        print(f"  {'met' if r.ok else 'NOT met'}: p50 at most {r.budget:.2f} {r.unit}")
    return 0 if all(r.ok for r in rows) else 1


if __name__ == "__main__":
    raise SystemExit(main())
