"""The policy served outwards: real clients from PyPI where there are any, else our own adapters.

openpi's client is a real peer. GR00T's is not on PyPI: a client written from the protocol facts
stands for it, and our own adapters close the circle.
"""

from __future__ import annotations

import importlib
import json
import logging
import pkgutil
import socket
import threading
import time
import urllib.error
import urllib.request
from dataclasses import replace
from typing import Any

import msgpack
import numpy as np
import pytest
import zmq

from policy_node.node import outward
from policy_node.node.inference_worker import InferenceWorker, WorkerSettings
from policy_node.node.outward.access import Access
from policy_node.node.outward.openpi_server import OpenpiServer
from policy_node.node.outward.outward import serve_parameters
from policy_node.node.outward.protocols import PROTOCOLS, Served
from policy_node.node.outward.servers import PolicyServers, ServeSettings
from policy_node.node.sessions import PolicySessions
from policy_node.policies.servers import groot_http, groot_zmq, openpi
from policy_node.policies.servers.address import parse_server_address
from policy_node.policies.servers.encodings import arrays_json
from policy_node.policies.servers.encodings.arrays_msgpack import pack_groot, unpack_groot
from policy_node.policy import PolicySpec
from sim_bridge.errors import InvalidRequest, OperationFailed
from sim_bridge.processes.testing import wait_until
from sim_bridge.types import (
    ActionSpec,
    ArraySpec,
    CameraSpec,
    JointSpec,
    Observation,
    SimSpec,
)

TOKEN = "let me in"
SPEC = SimSpec(
    simulator="test",
    simulator_version="1",
    task="reach",
    instruction="reach the goal",
    robot_entities=("arm",),
    base_frames=("arm/base",),
    joints=(JointSpec("arm/a", True, -1.0, 1.0), JointSpec("arm/b", True, -1.0, 1.0)),
    action=ActionSpec(("a", "b"), -np.ones(2), np.ones(2), ("rad", "rad"), "joint_position"),
    observations=(ArraySpec("goal", "float32", (3,), np.zeros(1), np.ones(1)),),
    control_period_s=0.1,
    cameras=(CameraSpec("front", 32, 24, "front", 1, 1, 1, 1),),
)
OBSERVATION = Observation(
    joint_names=("arm/a", "arm/b"),
    joint_positions=np.array([0.25, -0.5]),
    joint_velocities=np.array([0.01, 0.02]),
    images={"front": np.full((24, 32, 3), 10, np.uint8)},
    arrays={"goal": np.array([1.0, 2.0, 3.0])},
    instruction="pick the cube",
)


class Counting:
    """Answers from every part of the observation; remembers its episode."""

    spec = PolicySpec("counting", "for tests", ("a", "b"), horizon=4, image_keys=("front",))

    def __init__(self) -> None:
        self.seen: list[Observation] = []
        self.resets: list[int | None] = []
        self.calls = 0
        self.closed = False

    def infer(self, observation: Observation) -> np.ndarray:
        if observation.instruction == "fail":
            raise ValueError("no such instruction")
        if observation.instruction == "sleep":
            time.sleep(1.0)
        self.seen.append(observation)
        self.calls += 1
        row = observation.joint_positions + observation.joint_velocities
        row = row + observation.arrays["goal"].sum() + observation.images["front"].mean()
        return row + np.arange(4)[:, None]

    def reset(self, seed: int | None = None, instruction: str = "") -> None:
        self.resets.append(seed)
        self.calls = 0

    def close(self) -> None:
        self.closed = True


class OtherOpenpi(OpenpiServer):
    protocol = "other"


EXPECTED = np.array([16.26, 15.52]) + np.arange(4)[:, None]


class Source:
    spec = Counting.spec

    def __init__(self) -> None:
        self.clients: dict[str, Counting] = {}

    def for_client(self, client_id: str) -> Counting:
        return self.clients.setdefault(client_id, Counting())

    def close(self) -> None:
        pass


@pytest.fixture
def serve():
    """``serve(**ports)`` gives addresses by protocol and the source behind them."""
    running = []

    def start(access: Access | None = None, max_queue: int = 64, timeout_s: float = 60.0, **ports):
        source = Source()
        sessions = PolicySessions(lambda address: source, "counting")
        worker = InferenceWorker(sessions, WorkerSettings(max_queue))
        worker.start()
        settings = ServeSettings(access or Access(token=TOKEN), ports, timeout_s=timeout_s)
        servers = PolicyServers(settings, source.spec, SPEC, worker)
        running.append((servers, worker))
        servers.start()
        return servers.addresses, source

    yield start
    for servers, worker in running:
        servers.close()
        worker.close()
        assert not servers._thread.is_alive()


def open_with(module, address: str, query: str = f"?token={TOKEN}"):
    return module.open_source(parse_server_address(address + query), SPEC)


def only(source: Source, prefix: str) -> Counting:
    (name,) = [name for name in source.clients if name.startswith(prefix)]
    return source.clients[name]


def get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=30) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def openpi_client(address: str, api_key: str | None = TOKEN):
    client = pytest.importorskip("openpi_client.websocket_client_policy")
    host, port = address.removeprefix("ws://").rsplit(":", 1)
    return client.WebsocketClientPolicy(host, int(port), api_key=api_key)


def openpi_request(prompt: str = "pick the cube") -> dict:
    return {
        "observation/state": OBSERVATION.joint_positions,
        "observation/velocity": OBSERVATION.joint_velocities,
        "observation/goal": OBSERVATION.arrays["goal"],
        "observation/image/front": OBSERVATION.images["front"],
        "prompt": prompt,
    }


def test_openpi_client_gets_metadata_and_chunks_real_peer(serve):
    addresses, source = serve(openpi=0)
    client = openpi_client(addresses["openpi WebSocket"])
    metadata = client.get_server_metadata()
    assert metadata["action_names"] == ["a", "b"] and metadata["action_horizon"] == 4
    assert set(metadata["observation_keys"]) == set(openpi_request()) - {"prompt"}
    for _ in range(2):
        reply = client.infer(openpi_request())
        np.testing.assert_allclose(reply["actions"], EXPECTED)
        assert reply["server_timing"]["infer_ms"] >= 0
    assert "prev_total_ms" in reply["server_timing"]
    policy = only(source, "openpi-")
    assert policy.seen[0].instruction == "pick the cube" and policy.calls == 2
    client._ws.close()
    wait_until(lambda: policy.closed, 30, "the policy of a client that left is closed")


def test_openpi_client_sees_errors_real_peer(serve):
    addresses, _ = serve(openpi=0)
    address = addresses["openpi WebSocket"]
    incomplete = openpi_request()
    del incomplete["observation/goal"]
    for request, complaint in (
        (incomplete, "lacks observation/goal; needed: .*observation/state"),
        (openpi_request("fail"), "ValueError: no such instruction"),
        ({**openpi_request(), "observation/state": np.zeros(7)}, "has 7 values; needed: arm/a"),
        ({**openpi_request(), "observation/state": np.full(2, np.nan)}, "has NaN"),
        ({**openpi_request(), "observation/image/front": np.zeros((2, 2))}, "needed: uint8 hwc"),
    ):
        with pytest.raises(RuntimeError, match=complaint):
            openpi_client(address).infer(request)
    reply = openpi_client(address).infer(openpi_request())
    np.testing.assert_allclose(reply["actions"], EXPECTED)


def test_openpi_client_without_the_token_is_turned_away_real_peer(serve):
    addresses, source = serve(openpi=0)
    for key in (None, "guess"):
        with pytest.raises(Exception, match="401"):
            openpi_client(addresses["openpi WebSocket"], api_key=key)
    assert not source.clients
    health = addresses["openpi WebSocket"].replace("ws://", "http://") + "/healthz"
    assert get(health) == (200, "OK\n")


def test_openpi_client_outlasts_a_long_inference_real_peer(serve):
    """Pings of the client are answered while the policy thinks."""
    addresses, _ = serve(openpi=0)
    client = openpi_client(addresses["openpi WebSocket"])
    asking = threading.Thread(target=lambda: client.infer(openpi_request("sleep")))
    asking.start()
    pong = client._ws.ping()
    assert pong.wait(0.7), "no pong during an inference of one second"
    asking.join(timeout=30)
    assert not asking.is_alive()


def test_own_openpi_adapter_closes_the_circle(serve):
    addresses, served = serve(openpi=0)
    source = open_with(openpi, addresses["openpi WebSocket"])
    assert source.spec.action_names == ("a", "b") and source.spec.horizon == 4
    one, two = source.for_client("one"), source.for_client("two")
    np.testing.assert_allclose(one.infer(OBSERVATION), EXPECTED)
    np.testing.assert_allclose(two.infer(OBSERVATION), EXPECTED)
    assert len(served.clients) == 2
    with pytest.raises(OperationFailed, match="no such instruction"):
        one.infer(replace(OBSERVATION, instruction="fail"))
    np.testing.assert_allclose(one.infer(OBSERVATION), EXPECTED)
    one.close()
    two.close()
    with pytest.raises(InvalidRequest, match="refuses this token"):
        open_with(openpi, addresses["openpi WebSocket"], "?token=wrong")


def test_so101_reset_starts_an_episode(serve):
    addresses, served = serve(openpi=0)
    query = f"?dialect=so101&map=openpi&token={TOKEN}"
    policy = open_with(openpi, addresses["openpi WebSocket"], query).for_client("one")
    policy.infer(OBSERVATION)
    policy.infer(OBSERVATION)
    behind = only(served, "openpi-")
    assert behind.calls == 2
    policy.reset()
    assert behind.calls == 0 and len(behind.resets) == 2
    policy.close()


def test_own_groot_zmq_adapter_closes_the_circle(serve):
    addresses, served = serve(groot_zmq=0)
    source = open_with(groot_zmq, addresses["GR00T ZMQ"])
    assert source.spec.horizon == 4 and source.spec.image_keys == ("front",)
    policy = source.for_client("one")
    policy.reset(seed=5)
    np.testing.assert_allclose(policy.infer(OBSERVATION), EXPECTED, rtol=1e-6)
    behind = only(served, "groot-zmq-")
    assert 5 in behind.resets and behind.seen[0].instruction == "pick the cube"
    for version in ("n1.5", "n1.6-sim"):
        query = f"?version={version}&token={TOKEN}"
        other = open_with(groot_zmq, addresses["GR00T ZMQ"], query).for_client("x")
        np.testing.assert_allclose(other.infer(OBSERVATION), EXPECTED, rtol=1e-6)
        other.close()
    with pytest.raises(OperationFailed, match="ValueError: no such instruction"):
        policy.infer(replace(OBSERVATION, instruction="fail"))
    with pytest.raises(InvalidRequest, match="refuses this token"):
        open_with(groot_zmq, addresses["GR00T ZMQ"], "?token=wrong")
    policy.close()


class GrootClient:
    """``PolicyClient.call_endpoint`` from the protocol facts."""

    def __init__(self, address: str, token: str | None = TOKEN) -> None:
        self._socket = zmq.Context.instance().socket(zmq.REQ)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.RCVTIMEO, 90_000)
        self._socket.connect(address.replace("zmq://", "tcp://"))
        self._token = token

    def call(self, endpoint: str, data: dict | None = None, raw: bool = False):
        request: dict[str, Any] = {"endpoint": endpoint}
        if data is not None:
            request["data"] = data
        if self._token:
            request["api_token"] = self._token
        self._socket.send(pack_groot(request))
        reply = self._socket.recv()
        return msgpack.unpackb(reply) if raw else unpack_groot(reply)


def groot_observation(prompt: str = "pick the cube") -> dict:
    state = {
        "joints": OBSERVATION.joint_positions,
        "velocities": OBSERVATION.joint_velocities,
        "goal": OBSERVATION.arrays["goal"],
    }
    return {
        "video": {"front": OBSERVATION.images["front"][None, None]},
        "state": {k: v[None, None].astype(np.float32) for k, v in state.items()},
        "language": {"annotation.human.task_description": [[prompt]]},
    }


def test_groot_zmq_endpoints_protocol_fake(serve):
    addresses, _ = serve(groot_zmq=0)
    client = GrootClient(addresses["GR00T ZMQ"])
    assert client.call("ping")["status"] == "ok"
    assert "may not stop" in client.call("kill")["error"]
    assert client.call("ping")["status"] == "ok", "still there"
    assert "'dance'; valid: ping, get_action" in client.call("dance")["error"]
    assert client.call("reset", {"options": None}) == {}
    config = client.call("get_modality_config", raw=True)
    assert all(entry["__ModalityConfig_class__"] for entry in config.values())
    assert config["video"]["as_json"] == {"delta_indices": [0], "modality_keys": ["front"]}
    assert config["action"]["as_json"]["delta_indices"] == [0, 1, 2, 3]
    action, info = client.call("get_action", {"observation": groot_observation(), "options": None})
    assert action["actions"].shape == (1, 4, 2) and action["actions"].dtype == np.float32
    np.testing.assert_allclose(action["actions"][0], EXPECTED, rtol=1e-6)
    two = {k: np.repeat(v, 2, 0) for k, v in groot_observation()["state"].items()}
    batch = {**groot_observation(), "state": two}
    assert "batch of 2" in client.call("get_action", {"observation": batch})["error"]
    assert "Unauthorized" in GrootClient(addresses["GR00T ZMQ"], None).call("ping")["error"]
    client._socket.send(b"\xc1 not msgpack")
    assert "not a msgpack message" in unpack_groot(client._socket.recv())["error"]


def test_a_slow_client_does_not_hold_up_another_protocol_fake(serve):
    addresses, _ = serve(groot_zmq=0)
    slow, quick = (GrootClient(addresses["GR00T ZMQ"]) for _ in range(2))
    data = {"observation": groot_observation("sleep")}
    asking = threading.Thread(target=lambda: slow.call("get_action", data))
    started = time.monotonic()
    asking.start()
    assert quick.call("ping")["status"] == "ok"
    assert time.monotonic() - started < 0.9, "the ping waited for the inference of one second"
    asking.join(timeout=30)


def test_own_groot_http_adapter_closes_the_circle(serve):
    addresses, served = serve(groot_http=0)
    policy = open_with(groot_http, addresses["GR00T HTTP"]).for_client("one")
    policy.reset()
    np.testing.assert_allclose(policy.infer(OBSERVATION), EXPECTED, rtol=1e-6)
    assert only(served, "groot-http-").resets == [None]
    for query in ("encoded=1", "version=n1.6", "version=n1.6-sim"):
        other = open_with(groot_http, addresses["GR00T HTTP"], f"?{query}&token={TOKEN}")
        np.testing.assert_allclose(other.for_client("x").infer(OBSERVATION), EXPECTED, rtol=1e-6)
    with pytest.raises(OperationFailed, match="answered 500.*no such instruction"):
        policy.infer(replace(OBSERVATION, instruction="fail"))
    policy.close()


def post(url: str, body: bytes, token: str | None = TOKEN) -> tuple[int, str]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    request = urllib.request.Request(url, body, headers, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_groot_http_plain_requests(serve):
    addresses, source = serve(groot_http=0)
    url = addresses["GR00T HTTP"]
    status, text = get(f"{url}/health")
    assert status == 200 and json.loads(text)["status"] == "healthy"
    body = arrays_json.dumps({"observation": groot_observation()}).encode()
    assert post(f"{url}/act", body, token=None)[0] == 401
    assert post(f"{url}/act", body, token="guess")[0] == 401
    assert not source.clients
    status, text = post(f"{url}/act", body)
    assert status == 200
    reply = json.loads(text)["actions"]
    assert set(reply) == {"__numpy__", "dtype", "shape"} and reply["shape"] == [1, 4, 2]
    assert post(f"{url}/act", b"{")[0] == 400
    status, text = post(f"{url}/act", b"{}")
    assert status == 400 and "lacks 'observation'" in text
    status, text = post(f"{url}/act", b'{"observation": {"state.joints": [0, 0]}}')
    assert status == 400 and "needed: video/front" in text
    lists = {
        "observation": {
            "video.front": OBSERVATION.images["front"],
            "state.joints": [[0.25, -0.5]],
            "state.velocities": [[0.01, 0.02]],
            "state.goal": [[1.0, 2.0, 3.0]],
        }
    }
    status, text = post(f"{url}/act", arrays_json.dumps(lists).encode())
    assert status == 200 and json.loads(text)["action.actions"]["shape"] == [4, 2]


def test_overload_answers_busy(serve):
    addresses, _ = serve(groot_http=0, max_queue=2)
    body = arrays_json.dumps({"observation": groot_observation("sleep")}).encode()
    answers: list[int] = []
    askers = [
        threading.Thread(
            target=lambda: answers.append(post(f"{addresses['GR00T HTTP']}/act", body)[0])
        )
        for _ in range(6)
    ]
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join(timeout=60)
    assert set(answers) == {200, 503}, answers


def test_an_inference_that_takes_too_long_is_answered(serve):
    addresses, _ = serve(openpi=0, groot_http=0, groot_zmq=0, timeout_s=0.2)
    with pytest.raises(OperationFailed, match="TimedOut: no answer within 0.2 s"):
        open_with(openpi, addresses["openpi WebSocket"]).for_client("x").infer(
            replace(OBSERVATION, instruction="sleep")
        )
    data = {"observation": groot_observation("sleep")}
    assert "TimedOut" in GrootClient(addresses["GR00T ZMQ"]).call("get_action", data)["error"]
    body = arrays_json.dumps(data).encode()
    assert post(f"{addresses['GR00T HTTP']}/act", body)[0] == 504


def test_no_token_must_be_meant(serve):
    with pytest.raises(InvalidRequest, match="needs a token.*serve_anonymously"):
        Access()
    addresses, _ = serve(access=Access(allow_anonymous=True), openpi=0)
    policy = open_with(openpi, addresses["openpi WebSocket"], "").for_client("one")
    np.testing.assert_allclose(policy.infer(OBSERVATION), EXPECTED)
    policy.close()


def test_bound_to_loopback_by_default_and_warned_of_beyond(serve, caplog):
    addresses, _ = serve(openpi=0, groot_zmq=0, groot_http=0)
    assert {a.split("//")[1].rsplit(":", 1)[0] for a in addresses.values()} == {"127.0.0.1"}
    for address in addresses.values():
        port = int(address.rsplit(":", 1)[1])
        for other in {str(info[4][0]) for info in socket.getaddrinfo(socket.gethostname(), None)}:
            if other.startswith("127.") or other == "::1":
                continue
            with socket.socket(socket.AF_INET6 if ":" in other else socket.AF_INET) as probe:
                assert probe.connect_ex((other, port)) != 0, f"reachable at {other}"
    assert "not encrypted" not in caplog.text
    with caplog.at_level(logging.WARNING):
        serve(access=Access(token=TOKEN, host="0.0.0.0"), openpi=0)
    assert "not encrypted" in caplog.text


def parameters_of(**given: Any):
    return serve_parameters()(**given, serve_anonymously=True)


def test_a_taken_port_is_an_error_at_start(serve):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for name in PROTOCOLS:
            with pytest.raises(OperationFailed, match=f"cannot serve .* on 127.0.0.1:{port}"):
                serve(**{name: port})
    with pytest.raises(InvalidRequest, match="serve_openpi_port is 70000; valid: -1 to 65535"):
        parameters_of(serve_openpi_port=70000)


def test_every_file_with_a_server_is_in_the_table():
    """A protocol that was forgotten there could not be served."""
    listed = {served.server for served in PROTOCOLS.values()}
    for module in pkgutil.iter_modules(outward.__path__):
        name = f"{outward.__name__}.{module.name}"
        for cls in vars(importlib.import_module(name)).values():
            if getattr(cls, "__module__", "") == name and hasattr(cls, "scheme"):
                assert f"{name}:{cls.__name__}" in listed


def test_a_protocol_of_the_table_has_its_parameters_and_is_served(serve, monkeypatch):
    """All that a new one takes: its file, and its line."""
    served = Served("a test's protocol", f"{__name__}:OtherOpenpi", "openpi")
    monkeypatch.setitem(PROTOCOLS, "other", served)
    addresses, _ = serve(other=0)
    assert addresses["other"].startswith("ws://127.0.0.1:")
    policy = open_with(openpi, addresses["other"]).for_client("one")
    np.testing.assert_allclose(policy.infer(OBSERVATION), EXPECTED)
    policy.close()
    parameters = parameters_of(serve_other_port=7)
    assert parameters.settings().wanted() == [(served, 7)]
