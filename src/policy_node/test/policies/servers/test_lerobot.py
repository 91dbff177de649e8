"""The LeRobot adapter against LeRobot's own policy server where it is installed, and a fake.

Set ``LEROBOT_PYTHON`` to the Python of an environment with ``lerobot[async]`` (0.4 or newer) to
run the real peer; it is started as a child process, so that its torch never enters ours.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import socket
import sys
import textwrap
import threading
import time
import types
from concurrent import futures
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from policy_node.policies.servers import lerobot_messages as messages
from policy_node.policies.servers.address import parse_server_address
from policy_node.policies.servers.lerobot import open_source
from sim_bridge.errors import InvalidRequest, OperationFailed, TimedOut
from sim_bridge.files.safe_pickle import Record, dumps
from sim_bridge.processes.testing import Process, free_tcp_port, wait_until
from sim_bridge.types import Observation

pytestmark = pytest.mark.process

LEROBOT_PYTHON = os.environ.get("LEROBOT_PYTHON", "")
HELPERS = "lerobot.async_inference.helpers"

# A small ACT policy with random weights, saved as a checkpoint, and its answer to a fixed
# observation computed in the server's own way; then LeRobot's server as it is.
REAL_SERVER = """
import os, sys
os.chdir(sys.argv[1])  # importing LeRobot's server makes a folder of logs
import numpy as np, torch
from lerobot.async_inference.configs import PolicyServerConfig
from lerobot.async_inference.policy_server import serve
from lerobot.configs.types import FeatureType, PolicyFeature
from lerobot.policies.act.configuration_act import ACTConfig
from lerobot.policies.act.modeling_act import ACTPolicy
from lerobot.policies.factory import make_pre_post_processors

folder, port = sys.argv[1:]
torch.manual_seed(0)
config = ACTConfig(
    input_features={
        "observation.state": PolicyFeature(FeatureType.STATE, (2,)),
        "observation.images.front": PolicyFeature(FeatureType.VISUAL, (3, 48, 64)),
    },
    output_features={"action": PolicyFeature(FeatureType.ACTION, (2,))},
    chunk_size=6, n_action_steps=6, dim_model=32, n_heads=2, dim_feedforward=32,
    n_encoder_layers=1, n_vae_encoder_layers=1, pretrained_backbone_weights=None, device="cpu",
)
stats = {
    "observation.state": {"mean": torch.zeros(2), "std": torch.ones(2)},
    "observation.images.front": {"mean": torch.zeros(3, 1, 1), "std": torch.ones(3, 1, 1)},
    "action": {"mean": torch.tensor([1.0, -1.0]), "std": torch.tensor([2.0, 2.0])},
}
policy = ACTPolicy(config).eval()
policy.save_pretrained(folder)
for processor in make_pre_post_processors(config, dataset_stats=stats):
    processor.save_pretrained(folder)
with torch.inference_mode():
    image = torch.full((1, 3, 48, 64), 10 / 255)
    state = torch.tensor([[0.25, -0.5]])
    batch = {"observation.state": state, "observation.images.front": image}
    chunk = policy.predict_action_chunk(batch)[0] * 2 + torch.tensor([1.0, -1.0])
np.save(folder + "/expected.npy", chunk.numpy())
serve(PolicyServerConfig(host="127.0.0.1", port=int(port), fps=30))
"""


def listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def observation(size: tuple[int, int] = (48, 64), step: int = 0) -> Observation:
    return Observation(
        step=step,
        joint_names=("arm/a", "arm/b"),
        joint_positions=np.array([0.25, -0.5]),
        joint_velocities=np.zeros(2),
        images={"front": np.full((*size, 3), 10, np.uint8)},
        instruction="pick the cube",
    )


@contextlib.contextmanager
def lerobot_server(folder: Path, port: int):
    """LeRobot's own server, with a checkpoint of its own in ``folder``."""
    if not LEROBOT_PYTHON:
        pytest.skip("LEROBOT_PYTHON names no Python with lerobot")
    script = folder / "lerobot_server.py"
    script.write_text(textwrap.dedent(REAL_SERVER))
    command = [LEROBOT_PYTHON, script, folder, port]
    clean = {"PYTHONPATH": "", "LD_LIBRARY_PATH": "", "HF_HUB_OFFLINE": "1"}
    with Process(command, folder / "log.txt", env=clean):
        wait_until(lambda: listening(port), 120, f"LeRobot's server listens; {folder}/log.txt")
        yield


@pytest.fixture(scope="module")
def real_server(tmp_path_factory):
    folder, port = tmp_path_factory.mktemp("act"), free_tcp_port()
    with lerobot_server(folder, port):
        yield port, folder


def address(port: int, **options: object):
    query = "&".join(f"{k}={v}" for k, v in options.items())
    return parse_server_address(f"grpc://127.0.0.1:{port}?{query}")


def test_chunk_of_a_real_act_checkpoint_real_peer(real_server):
    port, folder = real_server
    server = address(port, policy_type="act", pretrained=folder, actions_per_chunk=6, timeout_s=60)
    policy = open_source(server).for_client("one")
    expected = np.load(folder / "expected.npy")
    for step in range(3):
        chunk = policy.infer(observation(step=step))
        np.testing.assert_allclose(chunk, expected, atol=1e-4)
    assert policy.stats.inferences == 3
    policy.close()


def test_large_observation_goes_in_pieces_real_peer(real_server):
    port, folder = real_server
    server = address(port, policy_type="act", pretrained=folder, actions_per_chunk=6, timeout_s=60)
    policy = open_source(server).for_client("one")
    chunk = policy.infer(observation(size=(1080, 1440)))
    np.testing.assert_allclose(chunk, np.load(folder / "expected.npy"), atol=1e-4)
    policy.close()


def test_missing_camera_is_an_error_and_the_link_goes_on_real_peer(real_server):
    port, folder = real_server
    server = address(port, policy_type="act", pretrained=folder, actions_per_chunk=6, timeout_s=60)
    policy = open_source(server).for_client("one")
    blind = Observation(
        joint_names=("arm/a", "arm/b"), joint_positions=np.zeros(2), instruction="x"
    )
    with pytest.raises(OperationFailed):
        policy.infer(blind)
    assert policy.infer(observation()).shape == (6, 2)
    policy.close()


def test_unknown_policy_type_is_the_servers_word_real_peer(real_server):
    port, folder = real_server
    policy = open_source(address(port, policy_type="crystal", pretrained=folder)).for_client("one")
    with pytest.raises(OperationFailed, match="SendPolicyInstructions.*crystal"):
        policy.infer(observation())
    policy.close()


def test_restarted_server_is_told_the_policy_again_real_peer(tmp_path):
    port = free_tcp_port()
    options = {"policy_type": "act", "pretrained": tmp_path, "actions_per_chunk": 6}
    with lerobot_server(tmp_path, port):
        policy = open_source(address(port, **options, timeout_s=60, give_up_s=100)).for_client("x")
        before = policy.infer(observation())
    with lerobot_server(tmp_path, port):
        np.testing.assert_allclose(policy.infer(observation(step=1)), before, atol=1e-4)
    assert policy.stats.reconnects == 1 and policy.stats.bad_replies == 0
    policy.close()


@dataclass
class Remote:
    """Unpickled by the fake in place of LeRobot's classes, which have the same fields."""

    timestep: int = 0


@contextlib.contextmanager
def protocol_fake(answer, monkeypatch, port: int = 0):
    """A server from the protocol facts; ``answer(timestep)`` gives the bytes of ``Actions``."""
    module: Any = types.ModuleType(HELPERS)
    module.RemotePolicyConfig = module.TimedObservation = Remote
    for name in ("lerobot", "lerobot.async_inference"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setitem(sys.modules, HELPERS, module)
    received: list = []

    def send_observations(pieces, context):
        data = b"".join(piece.data for piece in pieces)
        received.append(pickle.loads(data))
        return messages.Empty()

    def send_instructions(setup, context):
        received.append(pickle.loads(setup.data))
        return messages.Empty()

    def get_actions(request, context):
        told = any(hasattr(message, "policy_type") for message in received)
        return messages.Actions(data=answer(received[-1].timestep) if told else b"")

    def unary(function, request):
        return grpc.unary_unary_rpc_method_handler(
            function, request.FromString, lambda message: message.SerializeToString()
        )

    handlers = {
        "Ready": unary(lambda request, context: messages.Empty(), messages.Empty),
        "SendPolicyInstructions": unary(send_instructions, messages.PolicySetup),
        "GetActions": unary(get_actions, messages.Empty),
        "SendObservations": grpc.stream_unary_rpc_method_handler(
            send_observations,
            messages.Observation.FromString,
            lambda message: message.SerializeToString(),
        ),
    }
    server = grpc.server(futures.ThreadPoolExecutor(4))
    service = grpc.method_handlers_generic_handler("transport.AsyncInference", handlers)
    server.add_generic_rpc_handlers((service,))
    port = server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    try:
        yield port, received
    finally:
        server.stop(0).wait()


def actions(timestep: int, rows) -> bytes:
    return dumps(
        [
            Record(
                HELPERS, "TimedAction", {"timestamp": 0.0, "timestep": timestep + i, "action": a}
            )
            for i, a in enumerate(np.asarray(rows, np.float32))
        ]
    )


def test_requests_and_reply_protocol_fake(monkeypatch):
    with protocol_fake(lambda n: actions(n, [[1, 2], [3, 4]]), monkeypatch) as (port, received):
        policy = open_source(address(port, policy_type="act", pretrained="x")).for_client("one")
        np.testing.assert_array_equal(policy.infer(observation()), [[1, 2], [3, 4]])
        config, sent = received
        assert config.policy_type == "act" and config.actions_per_chunk == 50
        state = config.lerobot_features["observation.state"]
        assert state["names"] == ("a.pos", "b.pos") and state["shape"] == (2,)
        assert config.lerobot_features["observation.images.front"]["shape"] == (48, 64, 3)
        assert sent.must_go and sent.observation["a.pos"] == pytest.approx(0.25)
        assert sent.observation["task"] == "pick the cube"
        policy.close()


def test_malicious_reply_is_refused_and_does_not_run_protocol_fake(monkeypatch, tmp_path):
    proof = tmp_path / "it-ran"

    class Bomb:
        def __reduce__(self):
            return os.system, (f"touch {proof}",)

    with protocol_fake(lambda n: pickle.dumps([Bomb()]), monkeypatch) as (port, _):
        policy = open_source(address(port, policy_type="act", pretrained="x")).for_client("one")
        with pytest.raises(OperationFailed, match="refused a pickle: it names posix.system"):
            policy.infer(observation())
        policy.close()
    assert not proof.exists()


def test_late_chunk_of_an_earlier_observation_is_skipped_protocol_fake(monkeypatch):
    replies = []

    def answer(n: int) -> bytes:
        replies.append(n)
        return actions(n - 1 if len(replies) == 1 else n, [[float(len(replies))] * 2])

    with protocol_fake(answer, monkeypatch) as (port, _):
        policy = open_source(address(port, policy_type="act", pretrained="x")).for_client("one")
        np.testing.assert_array_equal(policy.infer(observation()), [[2, 2]])
        policy.close()


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"", "empty reply"),
        (dumps([1, 2]), "something other"),
        (dumps("no"), "something other"),
        (b"\x00", "refused"),
    ],
)
def test_nonsense_is_a_typed_error_protocol_fake(data, complaint, monkeypatch):
    with protocol_fake(lambda n: data, monkeypatch) as (port, _):
        policy = open_source(address(port, policy_type="act", pretrained="x")).for_client("one")
        with pytest.raises(OperationFailed, match=complaint):
            policy.infer(observation())
        policy.close()


def test_slow_server_times_out_protocol_fake(monkeypatch):
    def slow(n: int) -> bytes:
        time.sleep(1.0)
        return actions(n, [[0, 0]])

    with protocol_fake(slow, monkeypatch) as (port, _):
        server = address(port, policy_type="act", pretrained="x", timeout_s=0.3)
        policy = open_source(server).for_client("one")
        with pytest.raises(TimedOut, match="GetActions"):
            policy.infer(observation())
        policy.close()


def test_server_gone_in_mid_episode_is_waited_for_protocol_fake(monkeypatch):
    """The one that comes back knows nothing: it is told the policy again."""

    def answer(n: int) -> bytes:
        return actions(n, [[1, 2]])

    with protocol_fake(answer, monkeypatch) as (port, _):
        server = address(port, policy_type="act", pretrained="x", give_up_s=50)
        policy = open_source(server).for_client("one")
        policy.infer(observation())
    replies: list[np.ndarray] = []
    asking = threading.Thread(target=lambda: replies.append(policy.infer(observation())))
    asking.start()
    with protocol_fake(answer, monkeypatch, port) as (_, received):
        asking.join(timeout=60)
        assert not asking.is_alive()
        assert [m.policy_type for m in received if hasattr(m, "policy_type")] == ["act"]
    np.testing.assert_array_equal(replies[0], [[1, 2]])
    assert policy.stats.reconnects == 1
    policy.close()


def test_what_the_address_must_say():
    with pytest.raises(InvalidRequest, match="needs the option policy_type"):
        open_source(parse_server_address("grpc://127.0.0.1:1"))
    with pytest.raises(OperationFailed, match="no lerobot server answers"):
        open_source(address(free_tcp_port(), policy_type="act", pretrained="x", give_up_s=0.3))
