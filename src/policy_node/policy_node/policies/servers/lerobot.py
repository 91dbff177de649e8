"""LeRobot's asynchronous inference server over gRPC.

``grpc://host:8080?policy_type=act&pretrained=PATH_OR_HUB_ID[&actions_per_chunk=50][&device=cuda]``

Source: github.com/huggingface/lerobot, ``src/lerobot/async_inference/policy_server.py`` (0.4 to
0.6). ``Ready``, then ``SendPolicyInstructions`` (the server loads the checkpoint, which may take
``load_timeout_s`` beside the inference's own bound), then for each chunk ``SendObservations`` in
pieces of 2 MiB and ``GetActions``. Payloads are pickles of ``lerobot.async_inference.helpers``
classes: written and read by ``restricted_pickle``, which runs nothing (CVE-2026-25874 is about
those who do), and neither lerobot nor torch is needed here. The server's own unpickling is open to
whoever reaches its port: keep it on loopback or behind SSH.

The server answers an exception with an empty reply; it filters observations that look like the
last one unless ``must_go`` is set, which it always is; a chunk carries the number of its
observation, by which a late one is told apart.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import grpc
import numpy as np

from policy_node.policies.servers import lerobot_messages as messages
from policy_node.policies.servers.address import ServerAddress
from policy_node.policies.servers.deadline import Deadline
from policy_node.policies.servers.key_map_file import key_map_of
from policy_node.policies.servers.link import LinkDown, RemoteSource, ServerInfo, connect
from sim_bridge.errors import InvalidRequest, OperationFailed, TimedOut
from sim_bridge.files.safe_pickle import Record, dumps, loads
from sim_bridge.types import SimSpec

PIECE_BYTES = 2 * 1024 * 1024
_HELPERS = "lerobot.async_inference.helpers"
_ADMIT = frozenset({(_HELPERS, "TimedAction")})


def open_source(address: ServerAddress, sim_spec: SimSpec | None = None) -> RemoteSource:
    """Raises InvalidRequest without ``policy_type`` and ``pretrained``, OperationFailed when
    nobody answers. The checkpoint is loaded with the first observation, which tells its layout."""
    address.check_options(
        "policy_type", "pretrained", "actions_per_chunk", "device", "load_timeout_s"
    )
    for option in ("policy_type", "pretrained"):
        if not address.options.get(option):
            raise InvalidRequest(
                f"{address} needs the option {option}, e.g. "
                "grpc://host:8080?policy_type=act&pretrained=user/my_checkpoint"
            )
    key_map = key_map_of(address, "lerobot", sim_spec)
    links = partial(LerobotLink, address)
    first, info = connect(address, links)
    return RemoteSource(address, links, first, info, key_map)


class LerobotLink:
    """``Link`` over one gRPC channel. The server serves one client at a time."""

    def __init__(self, address: ServerAddress) -> None:
        self._address = address
        self._channel: grpc.Channel | None = None
        self._features: dict[str, Any] | None = None
        self._proven = False  # it has answered with the policy that it was told
        self._number = 0

    @property
    def is_open(self) -> bool:
        return self._channel is not None

    def open(self, deadline: Deadline) -> ServerInfo:
        options = [("grpc.max_receive_message_length", -1), ("grpc.enable_http_proxy", 0)]
        host = f"[{self._address.host}]" if ":" in self._address.host else self._address.host
        self._channel = grpc.insecure_channel(f"{host}:{self._address.port}", options)
        self._features, self._proven = None, False
        self._call("Ready", messages.Empty(), messages.Empty, deadline)
        options_said = {k: self._address.options[k] for k in ("policy_type", "pretrained")}
        horizon = int(self._address.number("actions_per_chunk", 50))
        return ServerInfo("LeRobot async inference", options_said, horizon)

    def infer(self, request: dict[str, Any], deadline: Deadline) -> dict[str, Any]:
        features = _features(request)
        if features != self._features:
            self._load_policy(features)
            deadline = Deadline(deadline.bound_s)
        self._number += 1
        self._send_observation(request, deadline)
        while True:
            actions = self._get_actions(deadline)
            if actions and actions[0].fields["timestep"] == self._number:
                self._proven = True
                return {"actions": np.stack([a.fields["action"] for a in actions])}

    def reset(self, seed: int | None, instruction: str, deadline: Deadline) -> None:
        """The protocol has no reset; the checkpoint stays loaded."""

    def close(self) -> None:
        if self._channel:
            self._channel.close()
            self._channel = None

    def _load_policy(self, features: dict[str, Any]) -> None:
        options = self._address.options
        config = Record(
            _HELPERS,
            "RemotePolicyConfig",
            {
                "policy_type": options["policy_type"],
                "pretrained_name_or_path": options["pretrained"],
                "lerobot_features": features,
                "actions_per_chunk": int(self._address.number("actions_per_chunk", 50)),
                "device": options.get("device", "cpu"),
                "rename_map": {},
            },
        )
        setup = messages.PolicySetup(data=dumps(config))
        deadline = Deadline(self._address.number("load_timeout_s", 300.0))
        self._call("SendPolicyInstructions", setup, messages.Empty, deadline)
        self._features = features

    def _send_observation(self, request: dict[str, Any], deadline: Deadline) -> None:
        values = {
            key: float(v[0]) if isinstance(v, np.ndarray) and v.shape == (1,) else v
            for key, v in request.items()
        }
        fields = {
            "timestamp": time.time(),
            "timestep": self._number,
            "observation": values,
            "must_go": True,
        }
        data = dumps(Record(_HELPERS, "TimedObservation", fields))
        self._call("SendObservations", _pieces(data), messages.Empty, deadline, stream=True)

    def _get_actions(self, deadline: Deadline) -> list[Record]:
        data = self._call("GetActions", messages.Empty(), messages.Actions, deadline).data
        if not data and self._proven:
            # gRPC reconnects by itself, so a server that was restarted shows only here.
            raise LinkDown("an empty reply from a server that answered before: was it restarted?")
        if not data:
            raise OperationFailed(
                "the server answered with an empty reply: its inference failed, its log says why"
            )
        actions = loads(data, _ADMIT)
        if not isinstance(actions, list) or not all(_is_timed_action(a) for a in actions):
            raise OperationFailed(
                "the server answered with something other than a list of TimedAction"
            )
        return actions

    def _call(self, method: str, request, reply, deadline: Deadline, stream: bool = False):
        assert self._channel is not None, "open() comes first"
        multi_callable = self._channel.stream_unary if stream else self._channel.unary_unary
        call = multi_callable(
            messages.SERVICE + method,
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=reply.FromString,
        )
        try:
            return call(request, timeout=deadline.left_s)
        except grpc.RpcError as error:
            raise _translated(error, method, deadline) from None


def _translated(error: grpc.RpcError, method: str, deadline: Deadline) -> Exception:
    code, details = error.code(), error.details()
    if code == grpc.StatusCode.UNAVAILABLE:
        return LinkDown(details)
    if code == grpc.StatusCode.DEADLINE_EXCEEDED:
        return TimedOut(f"{method} was not answered within {deadline}")
    return OperationFailed(f"{method} failed at the server ({code.name}): {details}")


def _is_timed_action(value: Any) -> bool:
    return (
        isinstance(value, Record)
        and isinstance(value.fields.get("timestep"), int)
        and isinstance(value.fields.get("action"), np.ndarray)
    )


def _features(request: dict[str, Any]) -> dict[str, Any]:
    """LeRobot's dataset features of a request: single values are the state, images are images.

    Raises InvalidRequest for keys that the protocol has no place for.
    """
    names = tuple(k for k, v in request.items() if np.shape(v) == (1,))
    features = {"observation.state": {"dtype": "float32", "shape": (len(names),), "names": names}}
    for key, value in request.items():
        if np.ndim(value) == 3:
            features[f"observation.images.{key}"] = {
                "dtype": "image",
                "shape": value.shape,
                "names": ("height", "width", "channels"),
            }
        elif key not in names and not isinstance(value, str):
            raise InvalidRequest(
                f"LeRobot takes single values, images and a task; the key map gives {key!r} "
                f"of shape {np.shape(value)}: map each joint to a key of its own"
            )
    return features


def _pieces(data: bytes) -> Iterator[Any]:
    """The observation in pieces; a single piece is an end without a beginning."""
    for start in range(0, len(data), PIECE_BYTES):
        state = messages.TRANSFER_MIDDLE
        if start + PIECE_BYTES >= len(data):
            state = messages.TRANSFER_END
        elif start == 0:
            state = messages.TRANSFER_BEGIN
        yield messages.Observation(transfer_state=state, data=data[start : start + PIECE_BYTES])
