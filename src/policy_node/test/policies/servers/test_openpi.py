"""The openpi adapter against the server from PyPI (real peer) and against misbehaving servers."""

from __future__ import annotations

import contextlib
import socket
import sys
import textwrap
import threading
import time

import msgpack
import numpy as np
import pytest
from websockets.sync.server import serve

from policy_node.policies.servers.address import parse_server_address
from policy_node.policies.servers.openpi import open_source
from sim_bridge.errors import InvalidRequest, NotFound, OperationFailed, TimedOut
from sim_bridge.processes.testing import Process, free_tcp_port, wait_until
from sim_bridge.types import Observation

REAL_SERVER = """
import sys, numpy as np
from openpi_server.websocket_policy_server import WebsocketPolicyServer

class Policy:
    def infer(self, obs):
        if obs["prompt"] == "fail":
            raise ValueError("no such prompt")
        state = obs["observation/state"]
        image = obs["observation/image/front"]
        assert image.dtype == np.uint8 and image.shape == (24, 32, 3), image.shape
        ramp = np.arange(8, dtype=np.float32)[:, None]
        return {"actions": state[None, :] + ramp + float(image.mean())}

metadata = {"policy_type": "ramp"}
WebsocketPolicyServer(Policy(), "127.0.0.1", int(sys.argv[1]), metadata).serve_forever()
"""


def listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def observation(prompt: str = "pick the cube") -> Observation:
    return Observation(
        step=3,
        joint_names=("arm/a", "arm/b"),
        joint_positions=np.array([0.25, -0.5]),
        joint_velocities=np.zeros(2),
        images={"front": np.full((24, 32, 3), 10, np.uint8)},
        instruction=prompt,
    )


@pytest.fixture
def real_server(tmp_path):
    pytest.importorskip("openpi_server", reason="openpi-server is not installed")
    script = tmp_path / "server.py"
    script.write_text(textwrap.dedent(REAL_SERVER))
    port = free_tcp_port()

    def start() -> Process:
        return Process(
            [sys.executable, script, str(port)], tmp_path / f"server-{time.time_ns()}.log"
        )

    return port, start


@pytest.mark.process
def test_chunk_from_openpi_server_real_peer(real_server):
    port, start = real_server
    with start():
        source = open_source(parse_server_address(f"127.0.0.1:{port}"))
        assert "policy_type='ramp'" in source.spec.description
        first, second = source.for_client("one"), source.for_client("two")
        for policy in (first, second):
            policy.reset(seed=1)
            chunk = policy.infer(observation())
            expected = np.array([[0.25, -0.5]]) + np.arange(8)[:, None] + 10
            np.testing.assert_allclose(chunk, expected)
            policy.close()
        source.close()


@pytest.mark.process
def test_error_frame_then_the_next_call_works_real_peer(real_server):
    port, start = real_server
    with start():
        policy = open_source(parse_server_address(f"ws://127.0.0.1:{port}")).for_client("one")
        with pytest.raises(OperationFailed, match="no such prompt"):
            policy.infer(observation("fail"))
        assert policy.infer(observation()).shape == (8, 2)
        assert policy.stats.bad_replies == 1
        policy.close()


@pytest.mark.process
def test_server_killed_in_mid_episode_is_waited_for_real_peer(real_server):
    port, start = real_server
    address = parse_server_address(f"ws://127.0.0.1:{port}?give_up_s=50")
    with start():
        policy = open_source(address).for_client("one")
        before = policy.infer(observation())
    revived = start()
    answer: list[np.ndarray] = []
    asking = threading.Thread(target=lambda: answer.append(policy.infer(observation())))
    asking.start()
    with revived:
        asking.join(timeout=60)
        assert not asking.is_alive()
    np.testing.assert_allclose(answer[0], before)
    assert policy.stats.reconnects == 1
    policy.close()


@pytest.mark.process
def test_server_that_stays_away_is_given_up_real_peer(real_server):
    port, start = real_server
    with start():
        wait_until(lambda: listening(port), 60, "the server listens")
        policy = open_source(
            parse_server_address(f"ws://127.0.0.1:{port}?give_up_s=0.6")
        ).for_client("one")
        policy.infer(observation())
    with pytest.raises(OperationFailed, match="has been gone"):
        policy.infer(observation())


@pytest.mark.process
def test_observation_without_the_mapped_image_names_both_sides_real_peer(real_server):
    port, start = real_server
    with start():
        policy = open_source(
            parse_server_address(f"ws://127.0.0.1:{port}?map=openpi_droid")
        ).for_client("one")
        with pytest.raises(NotFound, match="'exterior'.*gives: front"):
            policy.infer(observation())
        policy.close()


@contextlib.contextmanager
def protocol_fake(answer, metadata=None):
    """A server that speaks openpi's framing; ``answer(map, connection)`` gives the next frame."""

    def handle(connection):
        connection.send(msgpack.packb(metadata or {}))
        for frame in connection:
            reply = answer(msgpack.unpackb(frame), connection)
            if reply is not None:
                connection.send(reply if isinstance(reply, str) else msgpack.packb(reply))

    with serve(handle, "127.0.0.1", 0, compression=None, max_size=None) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.socket.getsockname()[1]
        finally:
            server.shutdown()
            thread.join()


def array_map(values) -> dict:
    array = np.asarray(values, np.float32)
    return {b"__ndarray__": True, b"data": array.tobytes(), b"dtype": "<f4", b"shape": array.shape}


@pytest.mark.parametrize(
    ("reply", "complaint"),
    [
        ({"actions": array_map(np.full((4, 2), np.nan))}, "answered with nan in row 0, column 0"),
        ({"actions": array_map(np.zeros((0, 2)))}, "empty chunk"),
        ({"actions": array_map(np.zeros((2, 3, 4, 2)))}, "has shape"),
        ({"plan": [1.0]}, "no 'actions'; it has plan"),
        ({"actions": "left"}, "not an array of numbers"),
        ("Traceback\nRuntimeError: out of memory", "RuntimeError: out of memory"),
        ([[1.0], ["x"]], "not an array of numbers"),
        (
            {"actions": {b"__ndarray__": True, b"data": b"x", b"dtype": "O", b"shape": [1]}},
            "refused",
        ),
    ],
)
def test_nonsense_is_a_typed_error_protocol_fake(reply, complaint):
    with protocol_fake(lambda request, connection: reply) as port:
        policy = open_source(parse_server_address(f"ws://127.0.0.1:{port}")).for_client("one")
        with pytest.raises(OperationFailed, match=complaint):
            policy.infer(observation())
        assert policy.stats.bad_replies == 1
        policy.close()


def test_slow_server_times_out_and_its_late_reply_is_not_taken_protocol_fake():
    seen = []

    def answer(request, connection):
        seen.append(request)
        if len(seen) == 1:
            time.sleep(1.0)
            return {"actions": array_map([[111.0, 111.0]])}
        return {"actions": array_map([[2.0, 2.0]])}

    with protocol_fake(answer) as port:
        policy = open_source(
            parse_server_address(f"ws://127.0.0.1:{port}?timeout_s=0.4")
        ).for_client("one")
        with pytest.raises(TimedOut, match="0.4 s"):
            policy.infer(observation())
        deadline = time.monotonic() + 30
        while True:
            try:
                chunk = policy.infer(observation())
                break
            except TimedOut:
                assert time.monotonic() < deadline
        np.testing.assert_array_equal(chunk, [[2.0, 2.0]])
        assert policy.stats.timeouts >= 1
        policy.close()


def test_so101_fork_resets_by_observation_and_answers_action_protocol_fake():
    requests = []

    def answer(request, connection):
        requests.append(request)
        return {"reset": True} if "reset" in request else {"action": [[90.0, 180.0]]}

    with protocol_fake(answer) as port:
        policy = open_source(
            parse_server_address(f"ws://127.0.0.1:{port}?dialect=so101")
        ).for_client("one")
        policy.reset()
        chunk = policy.infer(observation())
        np.testing.assert_allclose(chunk, [[np.pi / 2, np.pi]])
        assert requests[0] == {"reset": True}
        assert set(requests[1]) == {"images", "states", "task"}
        policy.close()


def test_key_map_is_checked_against_metadata_protocol_fake():
    def silent(request, connection):
        return None

    with protocol_fake(silent, {"image_resolution": [180, 320]}) as port:
        with pytest.raises(InvalidRequest, match=r"\[180, 320\].*sends \[224, 224\]"):
            open_source(parse_server_address(f"ws://127.0.0.1:{port}?map=openpi_droid"))
    with protocol_fake(silent, {"observation_keys": ["observation/depth", "prompt"]}) as port:
        with pytest.raises(InvalidRequest, match="asks for observation/depth.*key map: .*prompt"):
            open_source(parse_server_address(f"ws://127.0.0.1:{port}?map=openpi_droid"))


def test_nobody_there_says_what_to_check():
    with pytest.raises(OperationFailed, match="no openpi server answers at ws://127.0.0.1"):
        open_source(parse_server_address(f"ws://127.0.0.1:{free_tcp_port()}?give_up_s=0.3"))
