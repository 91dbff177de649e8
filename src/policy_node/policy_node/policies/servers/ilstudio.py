"""ILStudio's policy server: ``ilstudio://host:5000``.

Source: github.com/WwZzz/ILStudio, ``deploy/remote/server.py`` and ``benchmark/base.py``. Both
ways a big-endian length and a pickle: ``benchmark.base.MetaObs`` there, back a list with an
object array for each step that holds, for each robot of the batch, ``{ctrl_space, ctrl_type,
action, gripper_continuous}``. An empty list is an error at the server. Written and read by
``restricted_pickle``, which runs nothing; the server's own unpickling is open to whoever reaches
its port: keep it on loopback or behind SSH.

Arrays carry a leading batch axis of 1 (``?batch=0`` leaves it out). Images of all cameras, in the
order of the key map and of one size, become ``image`` (K, 3, h, w).
"""

from __future__ import annotations

import socket
import struct
from functools import partial
from typing import Any

import numpy as np

from policy_node.policies.servers.address import ServerAddress
from policy_node.policies.servers.deadline import Deadline
from policy_node.policies.servers.key_map_file import load_key_map
from policy_node.policies.servers.link import LinkDown, RemoteSource, ServerInfo, connect
from sim_bridge.errors import InvalidRequest, OperationFailed, TimedOut
from sim_bridge.files.safe_pickle import Record, dumps, loads
from sim_bridge.types import SimSpec

_LEAST_S = 0.001  # 0 would not wait at all, and say so in other words
MAX_REPLY_BYTES = 256 * 1024 * 1024
_FIELDS = ("state", "state_ee", "state_joint", "state_obj", "image", "depth", "pc", "raw_lang")


def open_source(address: ServerAddress, sim_spec: SimSpec | None = None) -> RemoteSource:
    """Raises OperationFailed when nobody listens; InvalidRequest for keys that MetaObs lacks."""
    address.check_options("batch")
    key_map = load_key_map(address.options.get("map", "ilstudio"))
    for path in key_map.request_keys:
        if path[0] not in _FIELDS:
            raise InvalidRequest(
                f"{key_map.name} maps {path[0]!r}, which MetaObs does not have; "
                f"valid: {', '.join(_FIELDS)}"
            )
    if sim_spec:
        key_map = key_map.bound_to(sim_spec)
    links = partial(IlstudioLink, address)
    first, info = connect(address, links)
    return RemoteSource(address, links, first, info, key_map)


class IlstudioLink:
    """``Link`` over one TCP connection."""

    def __init__(self, address: ServerAddress) -> None:
        self._address = address
        self._batched = address.options.get("batch", "1") != "0"
        self._socket: socket.socket | None = None
        self._step = 0

    @property
    def is_open(self) -> bool:
        return self._socket is not None

    def open(self, deadline: Deadline) -> ServerInfo:
        try:
            self._socket = socket.create_connection(
                (self._address.host, self._address.port), deadline.left_s
            )
        except OSError as error:
            raise LinkDown(str(error)) from None
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return ServerInfo("ILStudio (it says nothing of itself)")

    def infer(self, request: dict[str, Any], deadline: Deadline) -> dict[str, Any]:
        data = dumps(Record("benchmark.base", "MetaObs", self._meta_observation(request)))
        connection = self._connection()
        try:
            connection.settimeout(max(deadline.left_s, _LEAST_S))
            connection.sendall(struct.pack(">I", len(data)) + data)
            (size,) = struct.unpack(">I", _receive(connection, 4, deadline))
            if size > MAX_REPLY_BYTES:
                self.close()
                raise OperationFailed(f"the server announced a reply of {size} bytes")
            reply = _receive(connection, size, deadline)
        except TimeoutError:
            raise TimedOut(f"no reply within {deadline}") from None
        except OSError as error:
            raise LinkDown(str(error)) from None
        return {"actions": _rows(loads(reply))}

    def reset(self, seed: int | None, instruction: str, deadline: Deadline) -> None:
        """The protocol has no reset but the count of steps, which is sent along."""
        self._step = 0

    def close(self) -> None:
        if self._socket:
            self._socket.close()
            self._socket = None

    def _meta_observation(self, request: dict[str, Any]) -> dict[str, Any]:
        fields: dict[str, Any] = dict.fromkeys(_FIELDS)
        fields.update(request, raw_lang=request.get("raw_lang", ""))
        if isinstance(fields["image"], dict):
            fields["image"] = _stacked(fields["image"])
        fields["timestep"] = np.array([self._step])
        self._step += 1
        if self._batched:
            arrays = {k: v[None] for k, v in fields.items() if isinstance(v, np.ndarray)}
            fields.update(arrays)
        return fields

    def _connection(self) -> socket.socket:
        if self._socket is None:
            raise LinkDown("the connection was closed")
        return self._socket


def _receive(connection: socket.socket, size: int, deadline: Deadline) -> bytes:
    data = bytearray()
    while len(data) < size:
        connection.settimeout(max(deadline.left_s, _LEAST_S))
        piece = connection.recv(min(size - len(data), 1 << 20))
        if not piece:
            raise ConnectionError("the server closed the connection")
        data += piece
    return bytes(data)


def _stacked(images: dict[str, np.ndarray]) -> np.ndarray:
    shapes = {name: image.shape for name, image in images.items()}
    if len(set(shapes.values())) > 1:
        raise InvalidRequest(f"ILStudio takes images of one size; the key map gives {shapes}")
    return np.stack(list(images.values()))


def _rows(reply: Any) -> np.ndarray:
    """``(H, A)`` of the first robot of the batch."""
    if not isinstance(reply, list) or not reply:
        raise OperationFailed("the server answered with an empty list: its inference failed")
    try:
        return np.stack([np.asarray(step[0]["action"], np.float64).ravel() for step in reply])
    except (TypeError, KeyError, IndexError, ValueError) as error:
        raise OperationFailed(f"the server's reply is not a list of actions: {error!r}") from None
