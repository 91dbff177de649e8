"""Three cameras over what people use today: length-prefixed pickle, pyzmq, WebSocket.

``camera_peers.py send KIND PORT FRAMES`` and ``camera_peers.py receive KIND PORT RESULT``; the
receiver serves, the sender connects. Each picture travels with the time of its sending.
"""

from __future__ import annotations

import json
import pickle
import queue
import socket
import struct
import sys
import threading
import time
from pathlib import Path

import numpy as np

KINDS = ("pickle_tcp", "pyzmq", "websocket")
_CAMERAS = 3
_IMAGE = np.arange(640 * 480 * 3, dtype=np.uint32).astype(np.uint8).reshape(480, 640, 3)
_CONNECT_S = 30.0


def send(kind: str, port: int, frames: int) -> None:
    from cameras import pace

    push, close = _SENDERS[kind](port)
    for _ in pace(frames):
        for camera in range(_CAMERAS):
            push({"camera": camera, "sent_ns": time.monotonic_ns(), "image": _IMAGE})
    close()


def receive(kind: str, port: int, result: Path) -> None:
    ages_ms = []
    for message in _RECEIVERS[kind](port):
        ages_ms.append((time.monotonic_ns() - message["sent_ns"]) / 1e6)
        assert message["image"].shape == _IMAGE.shape
    result.write_text(json.dumps(ages_ms))


def _connected(port: int) -> socket.socket:
    deadline = time.monotonic() + _CONNECT_S
    while True:
        try:
            stream = socket.create_connection(("127.0.0.1", port))
            stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return stream
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def _pickle_sender(port: int):
    stream = _connected(port)

    def push(message):
        data = pickle.dumps(message)
        stream.sendall(struct.pack("!I", len(data)) + data)

    return push, stream.close


def _pickle_receiver(port: int):
    with socket.create_server(("127.0.0.1", port)) as server:
        stream, _ = server.accept()
        with stream, stream.makefile("rb") as file:
            while head := file.read(4):
                yield pickle.loads(file.read(struct.unpack("!I", head)[0]))


def _pack(message) -> list[bytes]:
    head = {"camera": message["camera"], "sent_ns": message["sent_ns"]}
    return [json.dumps(head).encode(), message["image"].tobytes()]


def _unpack(parts) -> dict:
    image = np.frombuffer(parts[1], np.uint8).reshape(_IMAGE.shape)
    return {**json.loads(parts[0]), "image": image}


def _zmq_sender(port: int):
    import zmq

    context = zmq.Context()
    pushing = context.socket(zmq.PUSH)
    pushing.connect(f"tcp://127.0.0.1:{port}")

    def close():
        pushing.send_multipart([b""])
        pushing.close(linger=5000)
        context.term()

    return lambda message: pushing.send_multipart(_pack(message)), close


def _zmq_receiver(port: int):
    import zmq

    with zmq.Context() as context, context.socket(zmq.PULL) as pulling:
        pulling.bind(f"tcp://127.0.0.1:{port}")
        while len(parts := pulling.recv_multipart()) > 1:
            yield _unpack(parts)


def _websocket_sender(port: int):
    from websockets.sync.client import connect

    link = connect("ws://127.0.0.1", sock=_connected(port), compression=None, max_size=None)

    def push(message):
        for part in _pack(message):
            link.send(part)

    return push, link.close


def _websocket_receiver(port: int):
    from websockets.sync.server import serve

    arrived: queue.Queue = queue.Queue()

    def handle(link):
        head = None
        for part in link:
            head, part = (part, None) if head is None else (head, part)
            if part is not None:
                arrived.put(_unpack([head, part]))
                head = None
        arrived.put(None)

    with serve(handle, "127.0.0.1", port, compression=None, max_size=None) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        while (message := arrived.get()) is not None:
            yield message
        server.shutdown()


_SENDERS = {"pickle_tcp": _pickle_sender, "pyzmq": _zmq_sender, "websocket": _websocket_sender}
_RECEIVERS = {
    "pickle_tcp": _pickle_receiver,
    "pyzmq": _zmq_receiver,
    "websocket": _websocket_receiver,
}

if __name__ == "__main__":
    role, kind, port, value = sys.argv[1:]
    if role == "send":
        send(kind, int(port), int(value))
    else:
        receive(kind, int(port), Path(value))
