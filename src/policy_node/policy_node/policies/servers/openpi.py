"""openpi's WebSocket protocol, and its SO101 fork.

Source: github.com/Physical-Intelligence/openpi, ``src/openpi/serving/websocket_policy_server.py``
and ``packages/openpi-client``. The server speaks first (metadata); then one binary observation
for one binary result; an error is a text frame with a traceback, followed by close 1011. The
fork (``?dialect=so101``) takes an observation ``{"reset": True}`` at the start of an episode;
both call the reply ``actions`` or ``action``.
"""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from typing import Any

import numpy as np
from websockets.exceptions import InvalidHandshake, InvalidStatus, WebSocketException
from websockets.sync.client import ClientConnection
from websockets.sync.client import connect as connect_websocket

from policy_node.policies.servers.address import ServerAddress
from policy_node.policies.servers.deadline import Deadline
from policy_node.policies.servers.encodings.arrays_msgpack import pack_openpi, unpack_openpi
from policy_node.policies.servers.key_map import KeyMap
from policy_node.policies.servers.key_map_file import key_map_of
from policy_node.policies.servers.link import LinkDown, RemoteSource, ServerInfo, connect
from sim_bridge.errors import InvalidRequest, OperationFailed, TimedOut, unknown
from sim_bridge.types import SimSpec

DIALECTS = ("openpi", "so101")
_CLOSE_S = 0.2  # how long a server may take to say goodbye


def open_source(address: ServerAddress, sim_spec: SimSpec | None = None) -> RemoteSource:
    """Raises OperationFailed when nobody answers, InvalidRequest when key map and server differ."""
    address.check_options("dialect")
    dialect = address.options.get("dialect", "openpi")
    if dialect not in DIALECTS:
        raise unknown(f"dialect of {address}", dialect, DIALECTS)
    default = "openpi_so101" if dialect == "so101" else "openpi"
    key_map = key_map_of(address, default, sim_spec)
    links = partial(OpenpiLink, address, sends_reset=dialect == "so101")
    first, info = connect(address, links)
    try:
        check_metadata(info.metadata, key_map)
    except InvalidRequest:
        first.close()
        raise
    if "observation_keys" in info.metadata and sim_spec:
        key_map = key_map.narrowed_to(info.metadata["observation_keys"])
    return RemoteSource(address, links, first, info, key_map)


def check_metadata(metadata: dict[str, Any], key_map: KeyMap) -> None:
    """Compare the key map with what the server says of itself, where it does.

    ``observation_keys`` is what this project's own servers announce, ``image_resolution``
    [height, width] what several openpi servers do. Raises InvalidRequest that lists both sides.
    """
    wanted = metadata.get("observation_keys")
    sent = ["/".join(path) for path in key_map.request_keys]
    if wanted and not any("*" in key or "{" in key for key in sent):
        if missing := sorted(set(wanted) - set(sent)):
            raise InvalidRequest(
                f"the server asks for {', '.join(missing)}, which {key_map.name} does not map; "
                f"server: {', '.join(wanted)}; key map: {', '.join(sent) or 'nothing'}"
            )
    resolution = metadata.get("image_resolution")
    sizes = {entry.size for entry in key_map.images if entry.size}
    if resolution and sizes and sizes != {tuple(resolution)}:
        raise InvalidRequest(
            f"the server asks for images of {list(resolution)} (height, width), {key_map.name} "
            f"sends {', '.join(str(list(size)) for size in sorted(sizes))}"
        )


class OpenpiLink:
    """``Link`` over a WebSocket."""

    def __init__(self, address: ServerAddress, sends_reset: bool) -> None:
        self._address = address
        self._sends_reset = sends_reset
        self._socket: ClientConnection | None = None
        self._closing = ExitStack()

    @property
    def is_open(self) -> bool:
        return self._socket is not None

    def open(self, deadline: Deadline) -> ServerInfo:
        token = self._address.token
        headers = {"Authorization": f"Api-Key {token}"} if token else None
        try:
            # No pings from here: a server in the middle of an inference may not answer them,
            # and each call has its own time-out.
            self._socket = self._closing.enter_context(
                connect_websocket(
                    str(self._address),
                    compression=None,
                    max_size=None,
                    additional_headers=headers,
                    open_timeout=deadline.left_s,
                    close_timeout=_CLOSE_S,
                    ping_interval=None,
                    proxy=None,
                )
            )
            hello = self._socket.recv(timeout=deadline.left_s)
        except InvalidStatus as error:
            if error.response.status_code in (401, 403):
                raise InvalidRequest(f"{self._address} refuses this token: {error}") from None
            raise LinkDown(f"not a WebSocket server: {error}") from None
        except TimeoutError as error:
            raise LinkDown(f"no answer within {deadline} ({error})") from None
        except (OSError, EOFError, WebSocketException, InvalidHandshake) as error:
            raise LinkDown(str(error) or type(error).__name__) from None
        metadata = self._unpacked(hello)
        return ServerInfo("openpi WebSocket", metadata, int(metadata.get("action_horizon") or 0))

    def infer(self, request: dict[str, Any], deadline: Deadline) -> dict[str, Any]:
        reply = self._exchange(request, deadline)
        if "actions" not in reply and "action" in reply:
            reply = {**reply, "actions": reply["action"]}
        return reply

    def reset(self, seed: int | None, instruction: str, deadline: Deadline) -> None:
        if self._sends_reset:
            self._exchange({"reset": True}, deadline)

    def close(self) -> None:
        self._socket = None
        self._closing.close()

    def _exchange(self, request: dict[str, Any], deadline: Deadline) -> dict[str, Any]:
        assert self._socket is not None, "open() comes first"
        try:
            # The library bounds what it receives, not what it sends to a server that reads nothing.
            self._socket.socket.settimeout(deadline.left_s)
            self._socket.send(pack_openpi(request))
            reply = self._socket.recv(timeout=deadline.left_s)
        except (TimeoutError, OSError, WebSocketException) as error:
            if isinstance(error, TimeoutError) or deadline.is_over:
                raise TimedOut(f"no reply within {deadline}") from None
            raise LinkDown(str(error) or type(error).__name__) from None
        return self._unpacked(reply)

    def _unpacked(self, frame: str | bytes) -> dict[str, Any]:
        if isinstance(frame, str):
            self.close()  # the server closes behind an error frame
            raise OperationFailed(f"the server answered with an error: {_last_line(frame)}")
        message = unpack_openpi(frame)
        if isinstance(message, (list, np.ndarray)):  # the fork's bare chunk
            return {"actions": message}
        if not isinstance(message, dict):
            raise OperationFailed(f"the server answered with a {type(message).__name__}, not a map")
        return message


def _last_line(traceback: str) -> str:
    lines = [line for line in traceback.strip().splitlines() if line.strip()]
    return lines[-1] if lines else "(empty)"
