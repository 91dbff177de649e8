"""Image policies end to end: policy.launch.xml with nothing but a server's address."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from sim_bridge.processes.testing import Process, free_domain_id, free_tcp_port

pytestmark = pytest.mark.process

sys.path.insert(0, str(Path(__file__).parent))
from test_groot import FakeGroot  # noqa: E402

ROOT = Path(__file__).parents[5]
LAUNCH = [sys.executable, ROOT / "tools" / "launch"]
DEADLINE_S = 90.0
SIZE = {"image_width": 32, "image_height": 24}
TASK = {"cameras": 2, "joints": 3}
OPENPI = """
import sys, numpy as np
from openpi_server.websocket_policy_server import WebsocketPolicyServer

class Policy:
    def infer(self, obs):
        images = {key: obs[key] for key in obs if key.startswith("observation/image/")}
        print("asked with", *(f"{k}{v.shape}" for k, v in images.items()), flush=True)
        print("blank" if not all(np.ptp(i) for i in images.values()) else "drawn", flush=True)
        return {"actions": np.zeros((2, 3), np.float32)}

WebsocketPolicyServer(Policy(), "127.0.0.1", int(sys.argv[1]), {}).serve_forever()
"""
MODALITIES = {
    "video": {"delta_indices": [0], "modality_keys": ["camera1"]},
    "state": {"delta_indices": [0], "modality_keys": ["arm"]},
    "action": {"delta_indices": [0, 1], "modality_keys": ["arm"]},
    "language": {},
}


@pytest.fixture(scope="module")
def env(tmp_path_factory) -> Iterator[dict[str, str]]:
    """The environment of a domain with a simulator of two cameras."""
    env = {"ROS_DOMAIN_ID": str(free_domain_id())}
    parameters = {"simulator": "synthetic", "task_options": f"'{json.dumps(TASK)}'", **SIZE}
    words = [word for k, v in parameters.items() for word in ("-p", f"{k}:={v}")]
    log = tmp_path_factory.mktemp("logs") / "bridge"
    with Process.module("sim_bridge", "--ros-args", *words, log=log, env=env):
        yield env


def run_demo(address: str, folder: Path, env: dict[str, str]) -> None:
    """Three steps, with all but the simulator and the demo from the launch file."""
    policy = [*LAUNCH, ROOT / "launch/policy.launch.xml", f"policy:={address}"]
    words = (f"output:={folder / 'output'}", "mirror:=false", "max_steps:=3")
    flags = [w for word in words for w in ("-p", word)]
    with Process(policy, folder / "policy", env):
        demo = Process.module(
            "policy_node.demo", "--ros-args", *flags, log=folder / "demo", env=env
        )
        with demo:
            status = demo.wait(DEADLINE_S)
            log = (folder / "policy").read_text()
            assert status == 1 and "failure in 3 steps" in demo.output(), demo.output() + log


@contextlib.contextmanager
def openpi(folder: Path) -> Iterator[tuple[str, Callable[[], None]]]:
    pytest.importorskip("openpi_server", reason="openpi-server is not installed")
    (folder / "server.py").write_text(OPENPI)
    port = free_tcp_port()
    with Process([sys.executable, folder / "server.py", str(port)], folder / "server") as server:

        def check() -> None:
            """Every camera, as the shipped key map says; blank ones only to warm up."""
            every = " ".join(f"observation/image/camera{i}(24, 32, 3)" for i in range(2))
            asked = server.output().splitlines()
            assert {line for line in asked if line.startswith("asked")} == {f"asked with {every}"}
            assert asked[-1] == "drawn"

        yield f"ws://127.0.0.1:{port}", check


@contextlib.contextmanager
def groot(folder: Path) -> Iterator[tuple[str, Callable[[], None]]]:
    seen: list[dict] = []

    def act(data):
        seen.append(data["observation"]["video"])
        return [{"arm": np.zeros((1, 2, 3), np.float32)}, {}]

    with FakeGroot(act, modalities=MODALITIES) as server:

        def check() -> None:
            """Only the camera that the server asks for, and in the episode not blank."""
            assert {tuple(video) for video in seen} == {("camera1",)}
            assert {video["camera1"].shape for video in seen} == {(1, 1, 24, 32, 3)}
            assert np.ptp(seen[-1]["camera1"]) > 0

        yield f"zmq://127.0.0.1:{server.port}", check


@pytest.mark.parametrize("serve", [openpi, groot])
def test_the_cameras_that_a_policy_asks_for_are_drawn(serve, tmp_path, env):
    with serve(tmp_path) as (address, check):
        run_demo(address, tmp_path, env)
        check()
