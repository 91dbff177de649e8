"""GR00T's policy server over ZMQ: ``zmq://host:5555`` (N1.6 and later), ``?version=n1.5``.

Source: github.com/NVIDIA/Isaac-GR00T, ``gr00t/policy/server_client.py``: msgpack
``{"endpoint", "data"?, "api_token"?}`` over REQ/REP; ``get_action`` answers ``[action, info]``
(N1.5: the action alone), an error is ``{"error": text}``. A REQ socket that timed out is of no
more use and is made anew; a server that dies in the middle is seen by the socket's monitor.
"""

from __future__ import annotations

import uuid
from dataclasses import replace
from functools import partial
from typing import Any

import zmq
from zmq.utils.monitor import recv_monitor_message

from policy_node.policies.servers import groot_layout
from policy_node.policies.servers.address import ServerAddress
from policy_node.policies.servers.deadline import Deadline
from policy_node.policies.servers.encodings.arrays_msgpack import pack_groot, unpack_groot
from policy_node.policies.servers.key_map_file import load_key_map
from policy_node.policies.servers.link import LinkDown, RemoteSource, ServerInfo, connect
from sim_bridge.errors import InvalidRequest, OperationFailed, TimedOut
from sim_bridge.types import SimSpec

_LOST = (zmq.EVENT_DISCONNECTED, zmq.EVENT_CLOSED, zmq.EVENT_CONNECT_RETRIED)


def open_source(address: ServerAddress, sim_spec: SimSpec | None = None) -> RemoteSource:
    """Raises OperationFailed when nobody answers, InvalidRequest when key map and server differ."""
    address.check_options("version")
    version = groot_layout.check_version(address.options.get("version", "n1.6"), str(address))
    links = partial(GrootZmqLink, address, version)
    first, info = connect(address, links)
    try:
        if "map" in address.options:
            key_map = load_key_map(address.options["map"])
        else:
            key_map = groot_layout.default_map(info.metadata, sim_spec)
        if sim_spec:
            key_map = key_map.bound_to(sim_spec)
        groot_layout.check_modalities(info.metadata, key_map)
    except Exception:
        first.close()
        raise
    said = {m: groot_layout.modality_keys(info.metadata, m) for m in info.metadata}
    return RemoteSource(address, links, first, replace(info, metadata=said), key_map)


class GrootZmqLink:
    """``Link`` over one REQ socket."""

    def __init__(self, address: ServerAddress, version: str) -> None:
        self._address = address
        self._version = version
        self._socket: zmq.Socket | None = None
        self._monitor: zmq.Socket | None = None

    @property
    def is_open(self) -> bool:
        return self._socket is not None

    def open(self, deadline: Deadline) -> ServerInfo:
        self._socket = zmq.Context.instance().socket(zmq.REQ)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.SNDTIMEO, int(1e3 * deadline.left_s))
        self._socket.setsockopt(zmq.IPV6, 1)
        # Whoever asks reconnects. Left to itself, a socket whose server is gone would try for ever,
        # and its events, which nobody reads meanwhile, would block ZMQ's thread for all sockets.
        self._socket.setsockopt(zmq.RECONNECT_IVL, -1)
        # pyzmq's own name for the monitor is taken while another thread still closes its socket.
        events = f"inproc://{uuid.uuid4()}"
        self._socket.monitor(events, zmq.EVENT_ALL)
        self._monitor = zmq.Context.instance().socket(zmq.PAIR)
        self._monitor.connect(events)
        host = f"[{self._address.host}]" if ":" in self._address.host else self._address.host
        self._socket.connect(f"tcp://{host}:{self._address.port}")
        self._ask("ping", None, deadline)
        config = self._ask("get_modality_config", None, deadline)
        config = config if isinstance(config, dict) else {}
        return ServerInfo(f"GR00T {self._version} ZMQ", config, groot_layout.horizon(config))

    def infer(self, request: dict[str, Any], deadline: Deadline) -> dict[str, Any]:
        observation = groot_layout.laid_out(request, self._version)
        if self._version == "n1.5":
            return groot_layout.unbatched(self._ask("get_action", observation, deadline))
        data = {"observation": observation, "options": None}
        reply = self._ask("get_action", data, deadline)
        if not isinstance(reply, list) or len(reply) != 2:
            raise OperationFailed(
                "the server did not answer [action, info]; an N1.5 server needs ?version=n1.5"
            )
        return groot_layout.unbatched(reply[0])

    def reset(self, seed: int | None, instruction: str, deadline: Deadline) -> None:
        if self._version != "n1.5":
            self._ask("reset", {"options": None if seed is None else {"seed": seed}}, deadline)

    def close(self) -> None:
        if self._socket is not None:
            self._socket.monitor(None, 0)
            self._socket.close()
        if self._monitor is not None:
            self._monitor.close(linger=0)
        self._socket = self._monitor = None

    def _ask(self, endpoint: str, data: dict[str, Any] | None, deadline: Deadline) -> Any:
        request: dict[str, Any] = {"endpoint": endpoint}
        if data is not None:
            request["data"] = data
        if self._address.token:
            request["api_token"] = self._address.token
        if self._socket is None:
            raise LinkDown("the connection was closed")
        try:
            self._socket.send(pack_groot(request))
            reply = unpack_groot(self._receive(deadline))
        except zmq.Again:
            raise LinkDown(f"no server takes {endpoint!r}") from None
        except zmq.ZMQError as error:
            raise LinkDown(f"{endpoint}: {error}") from None
        if isinstance(reply, dict) and "error" in reply:
            if "nauthorized" in str(reply["error"]):
                raise InvalidRequest(f"{self._address} refuses this token: {reply['error']}")
            raise OperationFailed(f"the server answered with an error: {reply['error']}")
        return reply

    def _receive(self, deadline: Deadline) -> bytes:
        """The reply; LinkDown as soon as the connection is refused or lost."""
        server, monitor = self._socket, self._monitor
        assert server is not None and monitor is not None
        poller = zmq.Poller()
        poller.register(server, zmq.POLLIN)
        poller.register(monitor, zmq.POLLIN)
        while True:
            ready = dict(poller.poll(int(1e3 * deadline.left_s)))
            if server in ready:
                return server.recv()
            if not ready:
                raise TimedOut(f"no reply within {deadline}")
            event = recv_monitor_message(monitor)["event"]
            if event in _LOST:
                raise LinkDown(f"connection lost or refused ({zmq.Event(event).name})")
