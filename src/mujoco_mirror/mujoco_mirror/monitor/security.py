"""Who may talk to the monitor: this machine's browsers may look, the token's holder may act.

Any web page can make a browser on this machine send requests to a loopback port. A page of
another site is told apart by ``Origin``, one that rebinds its own name to 127.0.0.1 by ``Host``.
"""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketClose

_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
_POLICY_VIOLATION = 1008

_RESPONSE_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}


class Token:
    """The secret that commands need; compared in constant time."""

    def __init__(self, secret: str) -> None:
        if len(secret) < 16:
            raise ValueError("the token needs at least 16 characters")
        self._expected = f"Bearer {secret}".encode()

    def admits(self, authorization: str) -> bool:
        """Whether this ``Authorization`` header carries the token."""
        return hmac.compare_digest(authorization.encode(), self._expected)


class SameMachineOnly:
    """Middleware: refuses requests under a foreign ``Host`` or from a foreign ``Origin``.

    ``hosts`` are further names that this server may be called by. Ports are free, so that
    forwarded ones work; host and origin must name the same place.
    """

    def __init__(self, app: ASGIApp, hosts: Iterable[str] = ()) -> None:
        self._app = app
        self._hosts = _LOOPBACK_NAMES | {host.lower() for host in hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(Headers(scope=scope))
        if not refusal:
            await self._app(scope, receive, _with_headers(send))
        elif scope["type"] == "websocket":
            await WebSocketClose(_POLICY_VIOLATION, refusal)(scope, receive, send)
        else:
            await PlainTextResponse(refusal, 403)(scope, receive, _with_headers(send))

    def _refusal(self, headers: Headers) -> str:
        host = headers.get("host", "")
        if _hostname(host) not in self._hosts:
            return f"Host {host[:80]!r} is not a name of this monitor"
        origin = headers.get("origin")
        if origin is not None and origin.lower().partition("://")[2] != host.lower():
            return f"Origin {origin[:80]!r} is another site"
        return ""


def is_loopback(host: str) -> bool:
    """Whether an address to bind to can be reached from this machine only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _hostname(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _with_headers(send: Send) -> Send:
    async def wrapped(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).update(_RESPONSE_HEADERS)
        await send(message)

    return wrapped
