"""The ILStudio adapter against a server written from the protocol facts.

ILStudio is not on PyPI. The fake unpickles into a ``MetaObs`` of its own with the fields of
``benchmark.base.MetaObs`` and answers what ``MetaPolicy.inference`` returns, pickled by pickle.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import socket
import struct
import sys
import threading
import time
import types
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from policy_node.policies.servers.address import parse_server_address
from policy_node.policies.servers.ilstudio import open_source
from sim_bridge.errors import InvalidRequest, OperationFailed, TimedOut
from sim_bridge.types import Observation


@dataclass
class MetaObs:
    state: Any = None
    state_ee: Any = None
    state_joint: Any = None
    state_obj: Any = None
    image: Any = None
    depth: Any = None
    pc: Any = None
    raw_lang: str = ""
    timestep: Any = -1


def observation() -> Observation:
    return Observation(
        joint_names=("arm/a", "arm/b"),
        joint_positions=np.array([0.25, -0.5]),
        joint_velocities=np.zeros(2),
        images={n: np.full((24, 32, 3), 10, np.uint8) for n in ("front", "wrist")},
        instruction="pick the cube",
    )


@contextlib.contextmanager
def protocol_fake(answer, monkeypatch, port: int = 0):
    """Each connection in a thread; ``answer(meta_obs)`` gives the bytes of the reply."""
    module: Any = types.ModuleType("benchmark.base")
    module.MetaObs = MetaObs
    monkeypatch.setitem(sys.modules, "benchmark", types.ModuleType("benchmark"))
    monkeypatch.setitem(sys.modules, "benchmark.base", module)
    listener = socket.create_server(("127.0.0.1", port))
    connections: list[socket.socket] = []
    received: list[MetaObs] = []

    def serve(connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection.makefile("rb") as stream:
            while header := stream.read(4):
                received.append(pickle.loads(stream.read(struct.unpack(">I", header)[0])))
                reply = answer(received[-1])
                connection.sendall(struct.pack(">I", len(reply)) + reply)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                connections.append(connection)
                threading.Thread(target=serve, args=(connection,), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1], received
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
        thread.join(timeout=10)


def chunk_reply(meta_obs: MetaObs) -> bytes:
    """A list of object arrays (batch,) of dicts, one for each step."""
    steps = []
    for i in range(4):
        action = (meta_obs.state_joint[0] + i).astype(np.float32)
        meta = {"ctrl_space": "joint", "ctrl_type": "absolute", "action": action}
        steps.append(np.array([{**meta, "gripper_continuous": False}], dtype=object))
    return pickle.dumps(steps)


EXPECTED = np.array([0.25, -0.5]) + np.arange(4)[:, None]


def connect(port: int, query: str = ""):
    return open_source(parse_server_address(f"ilstudio://127.0.0.1:{port}{query}"))


def test_chunk_protocol_fake(monkeypatch):
    with protocol_fake(chunk_reply, monkeypatch) as (port, received):
        policy = connect(port).for_client("one")
        policy.reset()
        for step in range(2):
            np.testing.assert_allclose(policy.infer(observation()), EXPECTED)
            assert received[-1].timestep.tolist() == [[step]]
        sent = received[0]
        assert sent.image.shape == (1, 2, 3, 256, 256) and sent.image.dtype == np.uint8
        np.testing.assert_allclose(sent.state, [[0.25, -0.5]])
        assert sent.raw_lang == "pick the cube" and sent.depth is None
        policy.close()


def test_malicious_reply_is_refused_and_does_not_run_protocol_fake(monkeypatch, tmp_path):
    proof = tmp_path / "it-ran"

    class Bomb:
        def __reduce__(self):
            return os.system, (f"touch {proof}",)

    reply = pickle.dumps([np.array([{"action": Bomb()}], dtype=object)])
    with protocol_fake(lambda meta_obs: reply, monkeypatch) as (port, _):
        policy = connect(port).for_client("one")
        with pytest.raises(OperationFailed, match="refused a pickle: it names posix.system"):
            policy.infer(observation())
        policy.close()
    assert not proof.exists()


@pytest.mark.parametrize(
    ("reply", "complaint"),
    [
        (pickle.dumps([]), "empty list"),
        (pickle.dumps([1, 2]), "not a list of actions"),
        (pickle.dumps([[{"action": [np.nan]}]]), "answered with nan"),
        (b"junk", "refused"),
    ],
)
def test_nonsense_is_a_typed_error_protocol_fake(reply, complaint, monkeypatch):
    with protocol_fake(lambda meta_obs: reply, monkeypatch) as (port, _):
        policy = connect(port).for_client("one")
        with pytest.raises(OperationFailed, match=complaint):
            policy.infer(observation())
        policy.close()


def test_slow_server_times_out_protocol_fake(monkeypatch):
    def slow(meta_obs):
        time.sleep(1.0)
        return chunk_reply(meta_obs)

    with protocol_fake(slow, monkeypatch) as (port, _):
        policy = connect(port, "?timeout_s=0.3").for_client("one")
        with pytest.raises(TimedOut, match="0.3 s"):
            policy.infer(observation())
        policy.close()


def test_server_gone_in_mid_episode_is_waited_for_protocol_fake(monkeypatch):
    with protocol_fake(chunk_reply, monkeypatch) as (port, _):
        policy = connect(port, "?give_up_s=50").for_client("one")
        policy.infer(observation())
    answer: list[np.ndarray] = []
    asking = threading.Thread(target=lambda: answer.append(policy.infer(observation())))
    asking.start()
    with protocol_fake(chunk_reply, monkeypatch, port):
        asking.join(timeout=60)
        assert not asking.is_alive()
    np.testing.assert_allclose(answer[0], EXPECTED)
    assert policy.stats.reconnects == 1
    policy.close()


def test_a_map_with_a_field_that_meta_obs_lacks(tmp_path):
    path = tmp_path / "map.yaml"
    path.write_text("state: [{to: joints, joints: [a]}]\nactions: [{from: actions}]")
    with pytest.raises(InvalidRequest, match="'joints', which MetaObs does not have; valid: state"):
        connect(1, f"?map={path}")
