"""Policies behind a line of JSON each way: joint positions there, a list of actions back."""

import json
import socket

from policy_node.policies.servers.key_map import ActionEntry, KeyMap, StateEntry
from policy_node.policies.servers.link import LinkDown, RemoteSource, ServerInfo, connect
from sim_bridge.errors import OperationFailed, TimedOut

KEYS = KeyMap(
    state=(StateEntry(("joints",), joints=("*",)),),
    actions=(ActionEntry(("actions",)),),
    name="jsonl",
)


def open_source(target, spec):
    """``jsonl://HOST:PORT``"""
    target.check_options()

    def links():
        return JsonLines(target)

    first, info = connect(target, links)
    return RemoteSource(target, links, first, info, KEYS.bound_to(spec))


class JsonLines:
    """A ``Link``: one connection, used by one thread."""

    def __init__(self, address):
        self._address = address
        self._socket = None

    @property
    def is_open(self):
        return self._socket is not None

    def open(self, deadline):
        address = self._address.host, self._address.port
        try:
            self._socket = socket.create_connection(address, deadline.left_s)
        except OSError as error:
            raise LinkDown(str(error)) from None
        return ServerInfo("JSON lines")

    def infer(self, request, deadline):
        line = json.dumps({"joints": request["joints"].tolist()})
        try:
            reply = self._exchange(line.encode() + b"\n", deadline)
        except TimeoutError:
            raise TimedOut(f"no reply within {deadline}") from None
        except OSError as error:
            raise LinkDown(str(error)) from None
        try:
            return {"actions": json.loads(reply)}
        except ValueError as error:
            raise OperationFailed(f"the reply is not JSON: {error}") from None

    def reset(self, seed, instruction, deadline):
        """These servers have no memory."""

    def close(self):
        if self._socket:
            self._socket.close()
            self._socket = None

    def _exchange(self, data, deadline):
        """A reply that comes in drops is bounded, too: each call gets what is left."""
        self._socket.settimeout(max(deadline.left_s, 0.001))
        self._socket.sendall(data)
        reply = b""
        while not reply.endswith(b"\n"):
            self._socket.settimeout(max(deadline.left_s, 0.001))
            piece = self._socket.recv(65536)
            if not piece:
                raise ConnectionError("the server closed the connection")
            reply += piece
        return reply
