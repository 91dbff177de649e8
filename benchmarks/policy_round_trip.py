"""A policy over the wire: InferChunk beside openpi's own client and server, and batching.

Round trip: an observation of 301 kB (two 224 x 224 images) for a chunk of 16 actions, from a
policy that computes nothing, in blocks that go to each in turn, so that all see the same machine:
InferChunk over ROS, the openpi pair from PyPI, openpi's client with our outward server, and the
same service with ready messages and no policy, which shows what of the time is ROS's. InferChunk
also with the DDS profile for a machine by itself.
Batching: four clients of a 50 ms policy that can batch, beside one client alone.

    python benchmarks/policy_round_trip.py
"""

from __future__ import annotations

import argparse
import contextlib
import os
import socket
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import policy_clients
import rclpy
from policies_for_benchmarks import INFERENCE_S
from policy_clients import Asker
from rclpy.context import Context
from rclpy.node import Node
from rows import Row, row

from policy_node.rollout.policy_client import PolicyClient
from sim_bridge.processes.testing import Process, free_domain_id, wait_until
from sim_bridge.progress import track
from sim_bridge.types import Observation

_CLIENTS = 4
_BLOCK = 20  # round trips of one, then the next
_READY_S = 120.0
_HERE = Path(__file__).parent
_PROFILES = _HERE.parent / "launch" / "dds"


def _dds(profile: str = "local") -> dict[str, str]:
    """By default what the launch files use."""
    path = str(_PROFILES / f"{profile}.xml")
    return {"FASTDDS_DEFAULT_PROFILES_FILE": path, "FASTRTPS_DEFAULT_PROFILES_FILE": path}


def measure(turns: int = 1000, rounds: int = 40) -> list[Row]:
    """For ``run.py``. The budget of the round trip is the peer's own, in the same run."""
    os.environ.update(_dds())
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        samples = _round_trips(stack, folder, turns)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        alone, together = _batching(stack, folder, rounds)
    ours, alone_here = samples.pop("InferChunk"), samples.pop("InferChunk, one machine")
    pair = samples["openpi pair"]
    budget = float(np.median(pair))
    four = f"{_CLIENTS} clients of a batching {1e3 * INFERENCE_S:g} ms policy, a request each"
    return [
        row("InferChunk round trip, 301 kB", "ms", ours, samples, budget),
        row(
            "InferChunk round trip, 301 kB, launch/dds/one_machine.xml",
            "ms",
            alone_here,
            {"openpi pair": pair},
            budget,
        ),
        row(four, "ms", together, {"one client": alone}, 1.5 * float(np.median(alone))),
    ]


def _round_trips(stack: contextlib.ExitStack, folder: Path, turns: int) -> dict[str, list[float]]:
    """Round trips [ms] by who made them."""
    port, default, alone = _free_port(), _dds(), _dds("one_machine")
    domain_id, ours_port = _graph(stack, folder, "zero", default)
    alone_id, _ = _graph(stack, folder, "zero", alone)
    env = {"ROS_DOMAIN_ID": str(domain_id), **default}
    for script, *words in (("policies_for_benchmarks.py", port), ("bare_service.py",)):
        stack.enter_context(Process([sys.executable, _HERE / script, *words], folder / script, env))
    wait_until(lambda: _listens(port), _READY_S, "openpi's server listens")
    wait_until(lambda: _listens(ours_port), _READY_S, "our openpi server listens")
    askers = {
        "InferChunk": Asker(policy_clients.infer_chunk, domain_id, default),
        "InferChunk, one machine": Asker(policy_clients.infer_chunk, alone_id, alone),
        "openpi pair": Asker(policy_clients.openpi, port, default),
        "openpi client, our server": Asker(policy_clients.openpi, ours_port, default),
        "bare ROS service": Asker(policy_clients.bare_service, domain_id, default),
    }
    samples: dict[str, list[float]] = {who: [] for who in askers}
    for block in track(range(1 + turns // _BLOCK), "round trips", "block", keep=False):
        for who, asker in askers.items():
            taken_ms = asker.block(_BLOCK)
            samples[who] += taken_ms if block else []
    for asker in askers.values():
        asker.close()
    return samples


def _batching(stack, folder: Path, rounds: int) -> tuple[list[float], list[float]]:
    """Time of each client's request [ms]: one client alone, then four at once."""
    domain_id, _ = _graph(stack, folder, "batching", _dds())
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


def _graph(
    stack: contextlib.ExitStack, folder: Path, policy: str, dds: dict[str, str]
) -> tuple[int, int]:
    """A bridge and a policy node; their domain, and the port of the outward server."""
    port, domain_id = _free_port(), free_domain_id()
    path = os.pathsep.join([str(_HERE), os.environ.get("PYTHONPATH", "")])
    env = {"ROS_DOMAIN_ID": str(domain_id), "PYTHONPATH": path, **dds}
    words = [f"policy:=python:policies_for_benchmarks:{policy}", f"serve_openpi_port:={port}"]
    words = [w for word in [*words, "serve_anonymously:=true"] for w in ("-p", word)]
    for module, *arguments in (
        ("sim_bridge",),
        ("policy_node", "--ros-args", *words),
    ):
        log = folder / f"{module}_{domain_id}"
        stack.enter_context(Process.module(module, *arguments, log=log, env=env))
    return domain_id, port


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
