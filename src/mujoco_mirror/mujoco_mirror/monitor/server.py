"""The page, the two WebSockets and the commands, as an ASGI application (no ROS)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine, Iterable
from pathlib import Path
from typing import Any

import anyio
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocket, WebSocketDisconnect

from mujoco_mirror.monitor.broadcast import DataBroadcast, VideoBroadcast
from mujoco_mirror.monitor.commands import NAMES, Commands
from mujoco_mirror.monitor.feed import MonitorFeed
from mujoco_mirror.monitor.security import SameMachineOnly, Token
from mujoco_mirror.monitor.video import VideoFeed
from sim_bridge.errors import BridgeError, TimedOut

_log = logging.getLogger(__name__)
_REFUSED = "The token is wrong or missing. Open the URL that the monitor printed."
_STATIC = Path(__file__).parent / "static"
# Frames a viewer may have that it has not confirmed: one on the way, one being drawn.
_FRAMES_IN_FLIGHT = 2


class MonitorServer:
    """Serves one feed; ``app`` is the ASGI application."""

    def __init__(
        self,
        feed: MonitorFeed,
        video: VideoFeed,
        commands: Commands,
        token: Token,
        hosts: Iterable[str] = (),
        data_rate_hz: float = 10.0,
        video_rate_hz: float = 30.0,
    ) -> None:
        self._commands = commands
        self._token = token
        self._acting = anyio.Lock()
        self._data = DataBroadcast(feed, data_rate_hz)
        self._video = VideoBroadcast(video, video_rate_hz)
        self.app = Starlette(
            routes=[
                Route("/", self._page),
                Route("/api/commands/{name}", self._command, methods=["POST"]),
                WebSocketRoute("/ws/data", self._serve_data),
                WebSocketRoute("/ws/video", self._serve_video),
                Mount("/static", StaticFiles(directory=_STATIC)),
            ],
            middleware=[Middleware(SameMachineOnly, hosts=tuple(hosts))],
            lifespan=self._lifespan,
        )

    @contextlib.asynccontextmanager
    async def _lifespan(self, _: Starlette):
        tasks = [asyncio.create_task(self._data.run()), asyncio.create_task(self._video.run())]
        for task in tasks:
            task.add_done_callback(_log_failure)
        yield
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _page(self, _: Request) -> FileResponse:
        return FileResponse(_STATIC / "index.html")

    async def _command(self, request: Request) -> JSONResponse:
        if not self._token.admits(request.headers.get("authorization", "")):
            return _answer(401, _REFUSED)
        name = request.path_params["name"]
        if name not in NAMES:
            return _answer(404, f"No command {name!r}; valid: {', '.join(NAMES)}.")
        try:
            async with self._acting:
                return _answer(200, await run_in_threadpool(getattr(self._commands, name)))
        except TimedOut as error:
            return _answer(504, str(error))
        except BridgeError as error:
            return _answer(409, str(error))

    async def _serve_data(self, socket: WebSocket) -> None:
        async def send() -> None:
            seen, complete = self._data.updates.version, False
            while True:
                if not complete:
                    self._data.ask_full()
                newest, update = await self._data.updates.newer_than(seen)
                if complete and update.since == seen:
                    await socket.send_text(update.delta)
                elif update.full is not None:
                    await socket.send_text(update.full)
                    complete = True
                else:
                    complete = False  # fell behind: wait for everything
                seen = newest

        with self._data.viewers:
            await _converse(socket, send, lambda: None)

    async def _serve_video(self, socket: WebSocket) -> None:
        credit = anyio.Semaphore(_FRAMES_IN_FLIGHT, max_value=_FRAMES_IN_FLIGHT)

        async def send() -> None:
            version = 0
            while True:
                await credit.acquire()
                version, jpeg = await self._video.frames.newer_than(version)
                await socket.send_bytes(jpeg)

        def confirmed() -> None:
            with contextlib.suppress(ValueError):  # more confirmations than frames
                credit.release()

        with self._video.viewers:
            await _converse(socket, send, confirmed)


async def _converse(
    socket: WebSocket, send: Callable[[], Coroutine[Any, Any, None]], on_message: Callable[[], None]
) -> None:
    """Run ``send`` until the viewer leaves; ``on_message`` for each message of theirs."""
    await socket.accept()
    sender = asyncio.create_task(send())
    try:
        while (await socket.receive())["type"] == "websocket.receive":
            on_message()
    finally:
        sender.cancel()
        with contextlib.suppress(asyncio.CancelledError, WebSocketDisconnect):
            await sender


def _log_failure(task: asyncio.Task) -> None:
    if not task.cancelled() and task.exception() is not None:
        _log.error("the monitor stopped sending", exc_info=task.exception())


def _answer(status: int, message: str) -> JSONResponse:
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else None
    return JSONResponse({"message": message}, status, headers)
