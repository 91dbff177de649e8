"""A web application on a real socket, in a thread of the test."""

import contextlib
import socket
import threading

import uvicorn

from sim_bridge.processes.testing import wait_until


@contextlib.contextmanager
def running(app):
    """The real server in a thread; yields its port."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", ws_per_message_deflate=False))
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    wait_until(lambda: server.started, 30.0, "the server starts")
    try:
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(timeout=30.0)
        assert not thread.is_alive()
