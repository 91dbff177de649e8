"""Addresses of model servers: which protocol, which host and port, which options.

``SCHEMES`` has those of this package; ``host:port`` alone is ``ws://``.
Options follow as a query: ``ws://gpu:8000?map=openpi_droid&timeout_s=20``. Those that every
protocol knows are in ``COMMON_OPTIONS``; ``timeout_s`` bounds one call, ``give_up_s`` is how long
a lost server is waited for. The token is better left out of the address: the environment
variable ``POLICY_SERVER_TOKEN`` is read when there is no ``token`` option.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlsplit

from sim_bridge.errors import InvalidRequest, unknown
from sim_bridge.settings import plugins

TOKEN_VARIABLE = "POLICY_SERVER_TOKEN"
COMMON_OPTIONS = ("map", "timeout_s", "give_up_s", "token")


@dataclass(frozen=True)
class Scheme:
    """``adapter`` is a file beside this one with an ``open_source`` (see ``OpenPolicy``)."""

    adapter: str
    default_port: int
    meaning: str

    @property
    def opens(self) -> str:
        return f"{__package__}.{self.adapter}:open_source"


# Installed packages add to them (``twinstep.policies``); their addresses always name the port.
SCHEMES = {
    "ws": Scheme("openpi", 8000, "openpi over WebSocket; its fork with `?dialect=so101`"),
    "wss": Scheme("openpi", 443, "the same, encrypted"),
    "zmq": Scheme("groot_zmq", 5555, "GR00T N1.6 and later over ZMQ; N1.5 with `?version=n1.5`"),
    "http": Scheme("groot_http", 8000, "GR00T over HTTP"),
    "https": Scheme("groot_http", 443, "the same, encrypted"),
    "grpc": Scheme("lerobot", 8080, "LeRobot's asynchronous inference"),
    "ilstudio": Scheme("ilstudio", 5000, "ILStudio, length-prefixed pickle"),
}
_BARE = re.compile(r"[A-Za-z0-9_.-]+:\d{1,5}(\?.*)?")


@dataclass(frozen=True)
class ServerAddress:
    """``scheme`` is as written (``ws`` for ``host:port``), ``kind`` names the adapter."""

    kind: str
    scheme: str
    host: str
    port: int
    path: str = ""
    options: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        """The address without its options, so that no token is ever printed."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}{self.path}"

    def check_options(self, *known: str) -> None:
        """Raise NotFound when the address has an option that nobody would read."""
        for name in self.options:
            if name not in COMMON_OPTIONS + known:
                raise unknown(f"option of {self}", name, COMMON_OPTIONS + known)

    def number(self, name: str, default: float) -> float:
        """A positive number from the options; InvalidRequest when it is not one."""
        text = self.options.get(name, str(default))
        try:
            value = float(text)
        except ValueError:
            value = -1.0
        if not 0 < value < float("inf"):
            raise InvalidRequest(f"option {name} of {self} must be a positive number, got {text!r}")
        return value

    @property
    def token(self) -> str:
        return self.options.get("token", os.environ.get(TOKEN_VARIABLE, ""))


def is_server_address(text: str) -> bool:
    """Whether ``text`` is meant as a model server: ``scheme://…`` or ``host:port``."""
    return "://" in text or bool(_BARE.fullmatch(text))


def parse_server_address(text: str) -> ServerAddress:
    """Raises NotFound for an unknown scheme and InvalidRequest for a malformed address."""
    parts = urlsplit(text if "://" in text else f"ws://{text}")
    scheme = SCHEMES.get(parts.scheme)
    if scheme is None and parts.scheme not in (installed := plugins.names(plugins.POLICIES)):
        raise unknown(f"scheme of policy address {text!r}", parts.scheme, (*SCHEMES, *installed))
    if not parts.hostname:
        raise InvalidRequest(f"policy address {text!r} has no host; write e.g. ws://127.0.0.1:8000")
    try:
        port = parts.port or (scheme.default_port if scheme else 0)
    except ValueError as error:
        raise InvalidRequest(f"policy address {text!r}: {error}") from None
    if not port:
        raise InvalidRequest(
            f"policy address {text!r} has no port; write {parts.scheme}://{parts.hostname}:PORT"
        )
    kind = scheme.adapter if scheme else parts.scheme
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    return ServerAddress(kind, parts.scheme, parts.hostname, port, parts.path.rstrip("/"), options)
