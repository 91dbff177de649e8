"""The GR00T adapters against servers written from the protocol facts.

NVIDIA's server is not on PyPI; ``FakeGroot`` follows ``gr00t/policy/server_client.py``: a REP
loop, msgpack with ``numpy.save`` arrays, strict about shapes and types as ``Gr00tPolicy`` is.
json_numpy, whose form the HTTP server uses, is a real peer where it is installed.
"""

from __future__ import annotations

import base64
import contextlib
import http.server
import io
import json
import socket
import threading
import time
from typing import Any

import msgpack
import numpy as np
import pytest
import zmq

from policy_node.policies.servers import groot_http, groot_zmq
from policy_node.policies.servers.address import parse_server_address
from policy_node.policies.servers.encodings import arrays_json
from sim_bridge.errors import FeatureUnsupported, InvalidRequest, OperationFailed, TimedOut
from sim_bridge.processes.testing import free_tcp_port, wait_until
from sim_bridge.types import Observation

MODALITIES: dict[str, dict[str, Any]] = {
    "video": {"delta_indices": [0], "modality_keys": ["front"]},
    "state": {"delta_indices": [0], "modality_keys": ["single_arm"]},
    "action": {"delta_indices": list(range(4)), "modality_keys": ["single_arm", "gripper"]},
    "language": {"delta_indices": [0], "modality_keys": ["annotation.human.task_description"]},
}


def observation() -> Observation:
    return Observation(
        joint_names=("arm/a", "arm/b"),
        joint_positions=np.array([0.25, -0.5]),
        joint_velocities=np.zeros(2),
        images={"front": np.full((24, 32, 3), 10, np.uint8)},
        instruction="pick the cube",
    )


def encode(value):
    if isinstance(value, np.ndarray):
        buffer = io.BytesIO()
        np.save(buffer, value, allow_pickle=False)
        return {"__ndarray_class__": True, "as_npy": buffer.getvalue()}
    raise TypeError(value)


def decode(value):
    if "__ndarray_class__" in value:
        return np.load(io.BytesIO(value["as_npy"]), allow_pickle=False)
    return value


class FakeGroot:
    """REP server; ``act`` answers ``get_action`` from its ``data``."""

    def __init__(self, act, port: int = 0, modalities=None, token: str | None = None) -> None:
        self._act = act
        self._modalities = MODALITIES if modalities is None else modalities
        self._token = token
        self._socket = zmq.Context.instance().socket(zmq.REP)
        self._socket.setsockopt(zmq.LINGER, 0)
        wait_until(lambda: self._bound(port), 30, f"port {port} is free again")
        self.port = int(self._socket.getsockopt_string(zmq.LAST_ENDPOINT).rsplit(":", 1)[1])
        self.requests: list[dict] = []
        self.stopping = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _bound(self, port: int) -> bool:
        """Closing the socket of an earlier server takes ZMQ a moment."""
        try:
            self._socket.bind(f"tcp://127.0.0.1:{port or '*'}")
        except zmq.ZMQError:
            return False
        return True

    def __enter__(self) -> FakeGroot:
        self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        self.stopping.set()
        self._thread.join()
        self._socket.close()

    def _run(self) -> None:
        while not self.stopping.is_set():
            if not self._socket.poll(20):
                continue
            request = msgpack.unpackb(self._socket.recv(), object_hook=decode)
            self.requests.append(request)
            try:
                reply = self._handle(request)
            except Exception as error:
                reply = {"error": str(error)}
            if not self.stopping.is_set():
                self._socket.send(msgpack.packb(reply, default=encode))

    def _handle(self, request: dict):
        if self._token and request.get("api_token") != self._token:
            return {"error": "Unauthorized: Invalid API token"}
        endpoint = request["endpoint"]
        if endpoint == "get_modality_config":
            return {
                k: {"__ModalityConfig_class__": True, "as_json": v}
                for k, v in self._modalities.items()
            }
        answers = {"ping": {"status": "ok"}, "reset": {}}
        return answers[endpoint] if endpoint in answers else self._act(request["data"])

    @property
    def endpoints(self) -> list[str]:
        return [request["endpoint"] for request in self.requests]


def check_n16(data) -> np.ndarray:
    """What ``Gr00tPolicy.check_observation`` asserts; returns the state."""
    assert set(data) == {"observation", "options"}
    video = data["observation"]["video"]["front"]
    assert video.dtype == np.uint8 and video.shape == (1, 1, 24, 32, 3)
    state = data["observation"]["state"]["single_arm"]
    assert state.dtype == np.float32 and state.shape == (1, 1, 2)
    language = data["observation"]["language"]["annotation.human.task_description"]
    assert language == [["pick the cube"]]
    return state[0]


def act_n16(data):
    ramp = np.arange(4, dtype=np.float32)[:, None]
    arm = check_n16(data) + ramp
    return [{"single_arm": arm[None], "gripper": np.full((1, 4, 1), 0.5, np.float32)}, {}]


EXPECTED = np.column_stack([0.25 + np.arange(4), -0.5 + np.arange(4), np.full(4, 0.5)])


def connect(server: FakeGroot | int, query: str = ""):
    port = server if isinstance(server, int) else server.port
    return groot_zmq.open_source(parse_server_address(f"zmq://127.0.0.1:{port}{query}"))


def test_n16_chunk_with_the_servers_own_keys_protocol_fake():
    with FakeGroot(act_n16) as server:
        source = connect(server)
        assert source.spec.horizon == 4 and source.spec.image_keys == ("front",)
        policy = source.for_client("one")
        policy.reset(seed=7)
        np.testing.assert_allclose(policy.infer(observation()), EXPECTED)
        assert server.endpoints == ["ping", "get_modality_config", "reset", "get_action"]
        assert server.requests[2]["data"] == {"options": {"seed": 7}}
        policy.close()


def test_n15_flat_observation_and_bare_reply_protocol_fake():
    def act(data):
        assert data["video.front"].shape == (1, 24, 32, 3)
        assert data["state.single_arm"].shape == (1, 2)
        assert data["annotation.human.task_description"] == ["pick the cube"]
        ramp = np.arange(4, dtype=np.float32)[:, None]
        arm = data["state.single_arm"] + ramp
        return {"action.single_arm": arm, "action.gripper": np.full(4, 0.5, np.float32)}

    prefixed = {
        m: {
            **c,
            "modality_keys": [k if m == "language" else f"{m}.{k}" for k in c["modality_keys"]],
        }
        for m, c in MODALITIES.items()
    }
    with FakeGroot(act, modalities=prefixed) as server:
        policy = connect(server, "?version=n1.5").for_client("one")
        policy.reset()
        np.testing.assert_allclose(policy.infer(observation()), EXPECTED)
        assert "reset" not in server.endpoints
        policy.close()


def test_n16_reply_without_info_points_to_the_version_protocol_fake():
    with FakeGroot(lambda data: {"action.single_arm": np.zeros((4, 2))}) as server:
        policy = connect(server).for_client("one")
        with pytest.raises(OperationFailed, match="version=n1.5"):
            policy.infer(observation())
        policy.close()


def test_token_protocol_fake():
    with FakeGroot(act_n16, token="secret") as server:
        with pytest.raises(InvalidRequest, match="refuses this token"):
            connect(server, "?token=wrong")
        policy = connect(server, "?token=secret").for_client("one")
        assert policy.infer(observation()).shape == (4, 3)
        policy.close()


def test_error_reply_then_the_next_call_works_protocol_fake():
    calls = []

    def act(data):
        calls.append(data)
        if len(calls) == 1:
            raise RuntimeError("CUDA out of memory")
        return act_n16(data)

    with FakeGroot(act) as server:
        policy = connect(server).for_client("one")
        with pytest.raises(OperationFailed, match="CUDA out of memory"):
            policy.infer(observation())
        np.testing.assert_allclose(policy.infer(observation()), EXPECTED)
        policy.close()


def test_slow_server_times_out_and_the_socket_is_made_anew_protocol_fake():
    calls = []

    def act(data):
        calls.append(data)
        if len(calls) == 1:
            time.sleep(1.0)
        return act_n16(data)

    with FakeGroot(act) as server:
        policy = connect(server, "?timeout_s=0.4").for_client("one")
        with pytest.raises(TimedOut, match="0.4 s"):
            policy.infer(observation())
        deadline = time.monotonic() + 30
        while True:
            try:
                chunk = policy.infer(observation())
                break
            except TimedOut:
                assert time.monotonic() < deadline
        np.testing.assert_allclose(chunk, EXPECTED)
        assert policy.stats.timeouts >= 1 and policy.stats.reconnects >= 1
        policy.close()


def test_an_idle_client_leaves_a_server_that_is_gone_alone_protocol_fake():
    """ZMQ would reconnect by itself; its unread events would in time block all other sockets."""
    with FakeGroot(act_n16) as server:
        policy = connect(server).for_client("one")
        policy.infer(observation())
        port = server.port
    wait_until(lambda: not _connects(port), 30, "the end of the server")
    with socket.socket() as knocked:
        knocked.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        knocked.bind(("127.0.0.1", port))
        knocked.listen()
        knocked.settimeout(2.0)  # twenty of ZMQ's intervals
        with pytest.raises(TimeoutError):
            knocked.accept()
    policy.close()


def _connects(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_server_gone_in_mid_inference_is_waited_for_protocol_fake():
    """It dies while it thinks, another starts on the same port: the observation is sent again."""
    port = free_tcp_port()
    thinking = threading.Event()

    def never(data):
        thinking.set()
        dying.stopping.wait(60)

    answer: list[np.ndarray] = []
    dying = FakeGroot(never, port)
    with dying:
        policy = connect(port, "?give_up_s=50&timeout_s=40").for_client("one")
        asking = threading.Thread(target=lambda: answer.append(policy.infer(observation())))
        asking.start()
        assert thinking.wait(30)
    with FakeGroot(act_n16, port):
        asking.join(timeout=60)
        assert not asking.is_alive()
    np.testing.assert_allclose(answer[0], EXPECTED)
    assert policy.stats.reconnects == 1 and policy.stats.timeouts == 0
    policy.close()


@pytest.mark.parametrize(
    ("modality", "change", "error", "complaint"),
    [
        ("video", {"modality_keys": ["front", "wrist"]}, InvalidRequest, "asks for front, wrist"),
        ("video", {"delta_indices": [-1, 0]}, FeatureUnsupported, r"wants the steps \[-1, 0\]"),
        ("action", {"modality_keys": ["legs"]}, InvalidRequest, "takes gripper.*gives legs"),
    ],
)
def test_key_map_is_checked_against_modalities_protocol_fake(
    modality, change, error, complaint, tmp_path
):
    path = tmp_path / "map.yaml"
    path.write_text(
        "images: [{to: [video, front], camera: front}]\n"
        "state: [{to: [state, single_arm], joints: [a, b]}]\n"
        "prompt: [language, annotation.human.task_description]\n"
        "actions: [{from: gripper}]\n"
    )
    modalities = {**MODALITIES, modality: {**MODALITIES[modality], **change}}
    with FakeGroot(act_n16, modalities=modalities) as server:
        with pytest.raises(error, match=complaint):
            connect(server, f"?map={path}")


def test_state_that_names_do_not_settle_asks_for_a_map_protocol_fake():
    state = {"delta_indices": [0], "modality_keys": ["left_arm", "right_arm"]}
    with FakeGroot(act_n16, modalities={**MODALITIES, "state": state}) as server:
        with pytest.raises(InvalidRequest, match="left_arm, right_arm.*write a key map"):
            connect(server)


def test_nobody_there():
    with pytest.raises(OperationFailed, match="no groot_zmq server answers"):
        connect(free_tcp_port(), "?give_up_s=0.3")
    address = parse_server_address(f"http://127.0.0.1:{free_tcp_port()}?give_up_s=0.3")
    with pytest.raises(OperationFailed, match="no groot_http server answers"):
        groot_http.open_source(address)


@contextlib.contextmanager
def http_fake(act, port: int = 0):
    """``act(observation)`` gives (status, body text)."""
    requests: list[tuple[str, dict]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def reply(self, status: int, text: str) -> None:
            data = text.encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(data)

        def do_GET(self) -> None:
            self.reply(200, '{"status": "healthy", "model": "GR00T"}')

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            requests.append((self.path, body))
            if self.path != "/act":
                self.reply(404, '{"detail": "Not Found"}')
            else:
                with contextlib.suppress(ConnectionError):
                    self.reply(*act(body))

        def log_message(self, *_) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_address[1], requests
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def array_of(value: dict) -> np.ndarray:
    data = base64.b64decode(value["__numpy__"])
    return np.frombuffer(data, np.dtype(value["dtype"])).reshape(value["shape"])


def test_http_chunk_in_both_reply_forms_protocol_fake():
    nested_lists = []

    def act(body):
        sent = body["observation"]
        assert array_of(sent["video.front"]).shape == (1, 24, 32, 3)
        chunk = array_of(sent["state.joints"]) + np.arange(4)[:, None]
        chunk = chunk.astype(np.float32)
        form = {
            "__numpy__": base64.b64encode(chunk.tobytes()).decode(),
            "dtype": "<f4",
            "shape": list(chunk.shape),
        }
        answer = chunk.tolist() if nested_lists else form
        return 200, json.dumps({"action.actions": answer})

    with http_fake(act) as (port, requests):
        policy = groot_http.open_source(
            parse_server_address(f"http://127.0.0.1:{port}")
        ).for_client("one")
        policy.reset()
        for _ in range(2):
            np.testing.assert_allclose(policy.infer(observation()), EXPECTED[:, :2])
            nested_lists.append(True)
        assert [path for path, _ in requests] == ["/reset", "/act", "/act"]
        policy.close()


def test_http_encoded_twice_protocol_fake():
    def act(body):
        assert set(body) == {"encoded"}
        sent = json.loads(body["encoded"])["observation"]
        rows = array_of(sent["state.joints"]).tolist()
        return 200, json.dumps(json.dumps({"action.actions": rows}))

    with http_fake(act) as (port, _):
        address = parse_server_address(f"http://127.0.0.1:{port}?encoded=1")
        policy = groot_http.open_source(address).for_client("one")
        np.testing.assert_allclose(policy.infer(observation()), [[0.25, -0.5]])
        policy.close()


@pytest.mark.parametrize(
    ("status", "text", "complaint"),
    [
        (500, '{"detail": "model exploded"}', "answered 500.*model exploded"),
        (200, "<html>", "not a JSON message"),
        (200, "{}", "no 'actions'"),
        (200, '{"action.actions": [[NaN, 1.0]]}', "answered with nan"),
        (200, '{"action.actions": "left"}', "not an array"),
    ],
)
def test_http_nonsense_is_a_typed_error_protocol_fake(status, text, complaint):
    with http_fake(lambda body: (status, text)) as (port, _):
        policy = groot_http.open_source(
            parse_server_address(f"http://127.0.0.1:{port}")
        ).for_client("one")
        with pytest.raises(OperationFailed, match=complaint):
            policy.infer(observation())
        policy.close()


def test_http_slow_server_times_out_protocol_fake():
    def act(body):
        time.sleep(1.0)
        return 200, "{}"

    with http_fake(act) as (port, _):
        address = parse_server_address(f"http://127.0.0.1:{port}?timeout_s=0.3")
        policy = groot_http.open_source(address).for_client("one")
        with pytest.raises(TimedOut, match="0.3 s"):
            policy.infer(observation())
        policy.close()


def test_http_server_gone_in_mid_episode_is_waited_for_protocol_fake():
    def act(body):
        return 200, '{"action.actions": [[1.0, 2.0]]}'

    with http_fake(act) as (port, _):
        address = parse_server_address(f"http://127.0.0.1:{port}?give_up_s=50")
        policy = groot_http.open_source(address).for_client("one")
        policy.infer(observation())
    answer: list[np.ndarray] = []
    asking = threading.Thread(target=lambda: answer.append(policy.infer(observation())))
    asking.start()
    wait_until(lambda: not policy._link.is_open, 30, "the loss is noticed")
    with http_fake(act, port):
        asking.join(timeout=60)
        assert not asking.is_alive()
    np.testing.assert_array_equal(answer[0], [[1.0, 2.0]])
    assert policy.stats.reconnects == 1
    policy.close()


def test_arrays_json_against_json_numpy_real_peer():
    json_numpy = pytest.importorskip("json_numpy")
    value = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": [1, "x"]}
    there = json_numpy.loads(arrays_json.dumps(value))
    back = arrays_json.loads(json_numpy.dumps(value))
    for result in (there, back):
        np.testing.assert_array_equal(result["a"], value["a"])
        assert result["a"].dtype == np.float32 and result["b"] == [1, "x"]
