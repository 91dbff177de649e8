"""The policy over GR00T's HTTP protocol, for clients without ROS.

Source: github.com/NVIDIA/Isaac-GR00T, ``scripts/inference_service.py --http_server``:
``GET /health``, ``POST /act``, ``POST /reset``; arrays as ``json_numpy``. Clients are told apart
by the header ``X-Client-Id``, or else by their host.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from policy_node.node.outward import groot_requests
from policy_node.node.outward.backend import describe
from policy_node.node.outward.protocols import OutwardServer
from policy_node.policies.servers.encodings import arrays_json
from sim_bridge.errors import Busy, InvalidRequest, OperationFailed

log = logging.getLogger(__name__)

MAX_BODY_BYTES = 64 * 1024 * 1024


class GrootHttpServer(OutwardServer):
    """One HTTP server."""

    protocol = "GR00T HTTP"
    scheme = "http"

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._app = Starlette(
            routes=[
                Route("/health", self._health),
                Route("/act", self._guarded(self._act), methods=["POST"]),
                Route("/reset", self._guarded(self._reset), methods=["POST"]),
            ]
        )

    @contextlib.asynccontextmanager
    async def running(self, port: int):
        """Serve on ``port`` (0: any); yields the port."""
        family = socket.AF_INET6 if ":" in self._access.host else socket.AF_INET
        listener = socket.create_server((self._access.host, port), family=family)
        config = uvicorn.Config(self._app, log_config=None, lifespan="off", access_log=False)
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield listener.getsockname()[1]
        finally:
            # force_exit: clients whose inference is under way are not waited for.
            server.should_exit = server.force_exit = True
            await asyncio.gather(serving, return_exceptions=True)
            listener.close()

    async def _health(self, request: Request) -> Response:
        keys = ["/".join(path) for path in self._task.required_keys]
        model = self._task.policy.kind
        return _json({"status": "healthy", "model": model, "observation_keys": keys})

    def _guarded(self, handler):
        """Token, size, and errors as GR00T's clients read them."""

        async def guarded(request: Request) -> Response:
            if not self._access.admits_header(request.headers.get("Authorization")):
                return _json({"detail": "needs the header Authorization: Bearer TOKEN"}, 401)
            try:
                body = await _body(request)
                return await asyncio.wait_for(handler(request, body), self._timeout_s)
            except Exception as error:
                text = describe(error, self._timeout_s)
                log.warning("%s %s: %s", request.method, request.url.path, text)
                return _json({"detail": text}, _status(error))

        return guarded

    async def _act(self, request: Request, body: dict[str, Any]) -> Response:
        encoded = "encoded" in body
        if encoded:
            body = arrays_json.loads(str(body["encoded"]))
        if not isinstance(body, dict) or "observation" not in body:
            raise InvalidRequest("the body lacks 'observation'")
        sent = body["observation"]
        observation = groot_requests.observation(self._task, sent)
        future = self._backend.infer(_client_id(request), observation)
        inference = await asyncio.wrap_future(future)
        flat = groot_requests.is_flat(sent)
        action = groot_requests.action(self._task, inference.actions, flat, batched=not flat)
        return _json(arrays_json.dumps(action) if encoded else action)

    async def _reset(self, request: Request, body: dict[str, Any]) -> Response:
        seed = body.get("seed")
        reset = self._backend.reset(
            _client_id(request), seed if isinstance(seed, int) else None, ""
        )
        await asyncio.wrap_future(reset)
        return _json({"status": "reset"})


def _client_id(request: Request) -> str:
    host = request.client.host if request.client else "unknown"
    return f"groot-http-{request.headers.get('X-Client-Id', host)[:64]}"


async def _body(request: Request) -> dict[str, Any]:
    data = bytearray()
    async for piece in request.stream():
        data += piece
        if len(data) > MAX_BODY_BYTES:
            raise InvalidRequest(f"the body is larger than {MAX_BODY_BYTES} bytes")
    try:
        body = arrays_json.loads(bytes(data) or b"{}")
    except OperationFailed as error:
        raise InvalidRequest(str(error)) from None
    if not isinstance(body, dict):
        raise InvalidRequest("the body is not a map")
    return body


def _json(data: Any, status: int = 200) -> Response:
    return Response(arrays_json.dumps(data), status, media_type="application/json")


def _status(error: Exception) -> int:
    if isinstance(error, Busy):
        return 503
    if isinstance(error, asyncio.TimeoutError):
        return 504
    return 400 if isinstance(error, InvalidRequest) else 500
