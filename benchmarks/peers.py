"""What people use today, hosting the same simulator: pickle over TCP, pyzmq, WebSocket.

``python peers.py KIND PORT SIMULATOR TASK [OPTIONS]`` serves one connection. Requests are
``{"actions": (n, A)}``, answers hold the task's observation, the joint state, the rewards and the
time spent in the simulator, so that each peer moves what our Step moves. Run on loopback only:
pickle is here to be measured, not to be used.
"""

from __future__ import annotations

import json
import pickle
import socket
import struct
import sys
import time
from functools import partial
from typing import Any

import numpy as np

try:
    import msgpack
    import msgpack_numpy
    import zmq
    from websockets.sync.client import connect
    from websockets.sync.server import serve

    KINDS = ("pickle_tcp", "pyzmq", "websocket")
except ModuleNotFoundError:  # as in Isaac's environment
    KINDS = ("pickle_tcp",)


def host(simulator_name: str, task: str, options: str = "{}") -> Any:
    """The simulator at its start."""
    from sim_bridge.simulators.registry import open_simulator

    simulator = open_simulator(simulator_name, task, kwargs=json.loads(options))
    simulator.reset(seed=0)
    return simulator


def rest_action(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Zero, or what the bounds ``(A,)`` have nearest to it."""
    return np.clip(np.zeros_like(low), low, high)


def run(simulator: Any, actions: np.ndarray) -> tuple[list[Any], float]:
    """The outcomes of ``actions (n, A)`` and the time [s]; an episode that ends starts again."""
    start = time.perf_counter()
    outcomes = [simulator.step(action) for action in actions]
    if outcomes[-1].terminated or outcomes[-1].truncated:
        simulator.reset(seed=0)
    return outcomes, time.perf_counter() - start


def _answer(simulator: Any, request: dict[str, Any]) -> dict[str, Any]:
    outcomes, spent_s = run(simulator, request["actions"])
    state = simulator.state()
    return {
        "observation": outcomes[-1].arrays,
        "names": list(state.joint_names),
        "positions": state.joint_positions,
        "velocities": state.joint_velocities,
        "bodies": state.body_poses,
        "rewards": [o.reward for o in outcomes],
        "sim_wall_time": spent_s,
    }


def _send_pickle(stream: socket.socket, value: Any) -> None:
    data = pickle.dumps(value)
    stream.sendall(struct.pack("!I", len(data)) + data)


def _receive_pickle(stream: socket.socket) -> Any:
    head = stream.recv(4, socket.MSG_WAITALL)
    if len(head) < 4:
        raise EOFError
    return pickle.loads(stream.recv(struct.unpack("!I", head)[0], socket.MSG_WAITALL))


def _serve_pickle(port: int, answer: Any) -> None:
    with socket.create_server(("127.0.0.1", port)) as server:
        stream, _ = server.accept()
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while True:
            _send_pickle(stream, answer(_receive_pickle(stream)))


def _serve_zmq(port: int, answer: Any) -> None:
    with zmq.Context() as context, context.socket(zmq.REP) as rep:
        rep.bind(f"tcp://127.0.0.1:{port}")
        while True:
            request = msgpack.unpackb(rep.recv(), object_hook=msgpack_numpy.decode)
            rep.send(msgpack.packb(answer(request), default=msgpack_numpy.encode))


def _serve_websocket(port: int, answer: Any) -> None:
    def handle(stream: Any) -> None:
        for data in stream:
            request = msgpack.unpackb(data, object_hook=msgpack_numpy.decode)
            stream.send(msgpack.packb(answer(request), default=msgpack_numpy.encode))

    with serve(handle, "127.0.0.1", port, compression=None, max_size=None) as server:
        server.serve_forever()


class PeerClient:
    """Synchronous client of one peer; ``step(actions)`` returns its answer."""

    def __init__(self, kind: str, port: int) -> None:
        self._kind = kind
        if kind == "pickle_tcp":
            self._stream = socket.create_connection(("127.0.0.1", port))
            self._stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        elif kind == "pyzmq":
            self._context = zmq.Context()
            self._stream = self._context.socket(zmq.REQ)
            self._stream.setsockopt(zmq.LINGER, 0)
            self._stream.connect(f"tcp://127.0.0.1:{port}")
        else:
            self._stream = connect(f"ws://127.0.0.1:{port}", compression=None, max_size=None)

    def step(self, actions: np.ndarray) -> dict[str, Any]:
        request = {"actions": actions}
        if self._kind == "pickle_tcp":
            _send_pickle(self._stream, request)
            return _receive_pickle(self._stream)
        self._stream.send(msgpack.packb(request, default=msgpack_numpy.encode))
        return msgpack.unpackb(self._stream.recv(), object_hook=msgpack_numpy.decode)

    def close(self) -> None:
        self._stream.close()
        if self._kind == "pyzmq":
            self._context.term()


if __name__ == "__main__":
    kind, port, hosted = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
    servers = {"pickle_tcp": _serve_pickle, "pyzmq": _serve_zmq, "websocket": _serve_websocket}
    try:
        servers[kind](port, partial(_answer, host(*hosted)))
    except (EOFError, KeyboardInterrupt):
        pass
