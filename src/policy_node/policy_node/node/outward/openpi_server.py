"""The policy over openpi's WebSocket protocol, for clients without ROS.

Source: github.com/Physical-Intelligence/openpi, ``websocket_policy_server.py``: metadata first,
then one result for each observation; an error is a text frame followed by close 1011;
``GET /healthz``. An observation ``{"reset": true}`` (the SO101 fork) starts an episode. Inference
runs elsewhere, so that pings are answered during a long one.
"""

from __future__ import annotations

import asyncio
import contextlib
import http
import itertools
import logging
import time
from typing import Any

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from policy_node.node.inference_worker import InferenceResult
from policy_node.node.outward.backend import describe
from policy_node.node.outward.protocols import OutwardServer
from policy_node.policies.servers.encodings.arrays_msgpack import pack_openpi, unpack_openpi
from sim_bridge.errors import InvalidRequest

log = logging.getLogger(__name__)

MAX_MESSAGE_BYTES = 64 * 1024 * 1024
_CLOSE_S = 0.5


class OpenpiServer(OutwardServer):
    """One WebSocket server; each connection is a client of its own."""

    protocol = "openpi WebSocket"
    scheme = "ws"

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._numbers = itertools.count(1)

    @contextlib.asynccontextmanager
    async def running(self, port: int):
        """Serve on ``port`` (0: any); yields the port."""
        server: Server = await serve(
            self._client,
            self._access.host,
            port,
            process_request=self._admit,
            compression=None,
            max_size=MAX_MESSAGE_BYTES,
            ping_interval=None,  # a client in the middle of a long step may not answer pings
        )
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
            # Clients whose inference is under way are not waited for: their tasks are cancelled.
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(server.wait_closed(), _CLOSE_S)

    def _admit(self, connection: ServerConnection, request):
        if request.path == "/healthz":
            return connection.respond(http.HTTPStatus.OK, "OK\n")
        if self._access.admits_header(request.headers.get("Authorization")):
            return None
        return connection.respond(
            http.HTTPStatus.UNAUTHORIZED, "needs the header Authorization: Api-Key TOKEN\n"
        )

    async def _client(self, connection: ServerConnection) -> None:
        client_id = f"openpi-{next(self._numbers)}"
        log.info("%s connected from %s", client_id, connection.remote_address)
        previous: dict[str, float] = {}
        try:
            await connection.send(pack_openpi(self._task.metadata()))
            async for frame in connection:
                started = time.perf_counter()
                reply = await self._answer(client_id, frame)
                reply.setdefault("server_timing", {}).update(previous)
                await connection.send(pack_openpi(reply))
                previous = {"prev_total_ms": 1e3 * (time.perf_counter() - started)}
        except ConnectionClosed:
            pass
        except Exception as error:
            text = describe(error, self._timeout_s)
            log.warning("%s: %s", client_id, text)
            with contextlib.suppress(ConnectionClosed):
                await connection.send(text)
                await connection.close(1011, "see the previous frame")
        finally:
            self._backend.forget(client_id)
            log.info("%s left", client_id)

    async def _answer(self, client_id: str, frame: str | bytes) -> dict[str, Any]:
        request = unpack_openpi(frame) if isinstance(frame, bytes) else None
        if not isinstance(request, dict):
            raise InvalidRequest("an observation is a binary frame with a msgpack map")
        if request.get("reset"):
            reset = self._backend.reset(client_id, None, str(request.get("prompt", "")))
            await asyncio.wait_for(asyncio.wrap_future(reset), self._timeout_s)
            return {"reset": True}
        future = self._backend.infer(client_id, self._task.observation(request))
        inference: InferenceResult = await asyncio.wait_for(
            asyncio.wrap_future(future), self._timeout_s
        )
        infer_ms = 1e3 * inference.inference_time_s
        return {
            "actions": inference.actions,
            "policy_timing": {"infer_ms": infer_ms, "queue_ms": 1e3 * inference.queue_time_s},
            "server_timing": {"infer_ms": infer_ms},
        }
