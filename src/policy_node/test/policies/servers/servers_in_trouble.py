"""A small server of each protocol, and a proxy in front of it that makes trouble on the wire."""

from __future__ import annotations

import contextlib
import http.server
import json
import pickle
import socket
import struct
import threading
import time
from concurrent import futures

import grpc
import msgpack
import numpy as np
import zmq
from websockets.sync.server import serve

from policy_node.policies.servers import lerobot_messages as messages
from sim_bridge.files.safe_pickle import Record, dumps, loads

DRIP_S = 0.1
GARBAGE = b"garbage\r\n\r\n" * 20
_HELPERS = "lerobot.async_inference.helpers"


class Answer:
    """What a server answers: numbers, ``nan``, or an ``error``."""

    def __init__(self) -> None:
        self.kind = "good"

    @property
    def rows(self) -> list[list[float]]:
        return [[float("nan") if self.kind == "nan" else 0.5, 1.0]] * 4

    @property
    def is_error(self) -> bool:
        return self.kind == "error"


@contextlib.contextmanager
def openpi(answer: Answer):
    def handle(connection):
        connection.send(msgpack.packb({}))
        for _ in connection:
            if answer.is_error:
                connection.send("Traceback\nRuntimeError: out of memory")
                return
            connection.send(msgpack.packb({"actions": answer.rows}))

    with serve(handle, "127.0.0.1", 0, compression=None, max_size=None) as server:
        with _serving(server):
            yield server.socket.getsockname()[1]


@contextlib.contextmanager
def groot_zmq(answer: Answer):
    stop = threading.Event()
    with zmq.Context() as context, context.socket(zmq.REP) as rep:
        rep.linger = 0
        port = rep.bind_to_random_port("tcp://127.0.0.1")

        def work():
            while not stop.is_set():
                if rep.poll(50):
                    rep.send(msgpack.packb(_groot_reply(msgpack.unpackb(rep.recv()), answer)))

        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield port
        finally:
            stop.set()
            thread.join()


def _groot_reply(request, answer: Answer):
    if request["endpoint"] != "get_action":
        return {}
    return {"error": "model exploded"} if answer.is_error else [{"actions": answer.rows}, {}]


@contextlib.contextmanager
def groot_http(answer: Answer):
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            self.reply(200, {"status": "healthy"})

        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            if answer.is_error:
                self.reply(500, {"detail": "model exploded"})
            else:
                self.reply(200, {"action.actions": answer.rows})

        def reply(self, status, body):
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server, _serving(server):
        yield server.server_address[1]


@contextlib.contextmanager
def lerobot(answer: Answer):
    seen: list[Record] = []

    def observations(pieces, context):
        data = b"".join(piece.data for piece in pieces)
        seen.append(loads(data, frozenset({(_HELPERS, "TimedObservation")})))
        return messages.Empty()

    def actions(request, context):
        if answer.is_error:
            return messages.Actions()
        first = seen[-1].fields["timestep"]
        rows = [
            {"timestamp": 0.0, "timestep": first + i, "action": np.array(row, np.float32)}
            for i, row in enumerate(answer.rows)
        ]
        return messages.Actions(data=dumps([Record(_HELPERS, "TimedAction", r) for r in rows]))

    def unary(function, request):
        make = grpc.unary_unary_rpc_method_handler
        return make(function, request.FromString, lambda message: message.SerializeToString())

    def empty(request, context):
        return messages.Empty()

    handlers = {
        "Ready": unary(empty, messages.Empty),
        "SendPolicyInstructions": unary(empty, messages.PolicySetup),
        "GetActions": unary(actions, messages.Empty),
        "SendObservations": grpc.stream_unary_rpc_method_handler(
            observations, messages.Observation.FromString, lambda m: m.SerializeToString()
        ),
    }
    server = grpc.server(futures.ThreadPoolExecutor(2))
    service = grpc.method_handlers_generic_handler("transport.AsyncInference", handlers)
    server.add_generic_rpc_handlers((service,))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield port
    finally:
        server.stop(0).wait()


@contextlib.contextmanager
def ilstudio(answer: Answer):
    def serve_one(connection):
        with contextlib.suppress(OSError), connection, connection.makefile("rb") as stream:
            while header := stream.read(4):
                stream.read(struct.unpack(">I", header)[0])
                steps = [] if answer.is_error else [[{"action": row}] for row in answer.rows]
                reply = pickle.dumps(steps)
                connection.sendall(struct.pack(">I", len(reply)) + reply)

    with _accepting(serve_one) as port:
        yield port


class Proxy:
    """Passes bytes on until ``trouble`` is ``silent`` (reads and sends nothing), ``dead``,
    ``dripping`` (replies byte by byte) or ``garbage`` (in place of replies)."""

    def __init__(self, upstream: int) -> None:
        self._upstream = upstream
        self._ended = threading.Event()
        self._sockets: list[socket.socket] = []
        self.trouble = ""

    @contextlib.contextmanager
    def running(self):
        with _accepting(self._serve) as port:
            try:
                yield port
            finally:
                self._ended.set()
                self.cut()

    def cut(self) -> None:
        for each in self._sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _serve(self, client: socket.socket) -> None:
        if self.trouble == "dead":
            client.close()
            return
        try:
            server = socket.create_connection(("127.0.0.1", self._upstream))
        except OSError:
            return  # the test is over
        self._sockets += client, server
        there = threading.Thread(target=self._pump, args=(client, server, False), daemon=True)
        there.start()
        self._pump(server, client, True)

    def _pump(self, source: socket.socket, sink: socket.socket, is_reply: bool) -> None:
        with contextlib.suppress(OSError):
            while True:
                if self.trouble == "silent":
                    self._ended.wait()
                data = source.recv(65536)
                if not data:
                    sink.shutdown(socket.SHUT_WR)
                    return
                self._pass_on(data, sink, is_reply)

    def _pass_on(self, data: bytes, sink: socket.socket, is_reply: bool) -> None:
        if self.trouble == "silent":
            self._ended.wait()
        elif self.trouble == "garbage" and is_reply:
            sink.sendall(GARBAGE)
        elif self.trouble == "dripping" and is_reply:
            for byte in data:
                sink.sendall(bytes([byte]))
                time.sleep(DRIP_S)
        else:
            sink.sendall(data)


@contextlib.contextmanager
def _accepting(serve_one):
    """Each connection in a thread of its own; yields the port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=serve_one, args=(connection,), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(timeout=10)


@contextlib.contextmanager
def _serving(server):
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
