"""GR00T's inference server over HTTP: ``http://host:8000``.

Source: github.com/NVIDIA/Isaac-GR00T, ``scripts/inference_service.py --http_server``:
``GET /health``, ``POST /act {"observation": {...}}`` with ``json_numpy`` arrays; some variants
answer nested lists, have ``POST /reset``, or want ``{"encoded": "<json>"}`` (``?encoded=1``).
Errors are 4xx or 500 with ``{"detail": text}``. Observations are laid out as N1.5 does unless
``?version=`` says otherwise.
"""

from __future__ import annotations

import http.client
from functools import partial
from typing import Any

from policy_node.policies.servers import groot_layout
from policy_node.policies.servers.address import ServerAddress
from policy_node.policies.servers.deadline import Deadline
from policy_node.policies.servers.encodings import arrays_json
from policy_node.policies.servers.key_map_file import key_map_of
from policy_node.policies.servers.link import LinkDown, RemoteSource, ServerInfo, connect
from sim_bridge.errors import InvalidRequest, OperationFailed, TimedOut
from sim_bridge.types import SimSpec


def open_source(address: ServerAddress, sim_spec: SimSpec | None = None) -> RemoteSource:
    """Raises OperationFailed when nobody answers. The protocol tells nothing of its keys,
    but this project's own server names those of the images that it looks at."""
    address.check_options("version", "encoded")
    version = groot_layout.check_version(address.options.get("version", "n1.5"), str(address))
    key_map = key_map_of(address, "groot", sim_spec)
    links = partial(GrootHttpLink, address, version)
    first, info = connect(address, links)
    if "observation_keys" in info.metadata and sim_spec:
        key_map = key_map.narrowed_to(info.metadata["observation_keys"])
    return RemoteSource(address, links, first, info, key_map)


class GrootHttpLink:
    """``Link`` over one kept-alive connection."""

    def __init__(self, address: ServerAddress, version: str) -> None:
        self._address = address
        self._version = version
        self._encoded = address.options.get("encoded", "0") not in ("0", "false", "")
        self._connection: http.client.HTTPConnection | None = None

    @property
    def is_open(self) -> bool:
        return self._connection is not None

    def open(self, deadline: Deadline) -> ServerInfo:
        secure = self._address.scheme == "https"
        kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        self._connection = kind(self._address.host, self._address.port)
        health = self._ask("GET", "/health", None, deadline)
        said = health if isinstance(health, dict) else {}
        return ServerInfo(f"GR00T {self._version} HTTP", said)

    def infer(self, request: dict[str, Any], deadline: Deadline) -> dict[str, Any]:
        body: dict[str, Any] = {"observation": groot_layout.laid_out(request, self._version)}
        if self._encoded:
            body = {"encoded": arrays_json.dumps(body)}
        reply = self._ask("POST", "/act", arrays_json.dumps(body), deadline)
        if isinstance(reply, str):  # an answer that was encoded twice, like the request
            reply = arrays_json.loads(reply)
        return groot_layout.unbatched(reply)

    def reset(self, seed: int | None, instruction: str, deadline: Deadline) -> None:
        """Servers without ``/reset`` have nothing to reset."""
        self._ask("POST", "/reset", "{}", deadline, absent_is_fine=True)

    def close(self) -> None:
        if self._connection:
            self._connection.close()
            self._connection = None

    def _ask(
        self, method: str, path: str, body: str | None, deadline: Deadline, absent_is_fine=False
    ) -> Any:
        status, content = self._exchange(method, path, body, deadline)
        if status in (404, 405) and absent_is_fine:
            return None
        if status in (401, 403):
            raise InvalidRequest(f"{self._address} refuses this token: {_text(content)}")
        if status >= 400:
            raise OperationFailed(f"{method} {path} answered {status}: {_text(content)}")
        return arrays_json.loads(content)

    def _exchange(
        self, method: str, path: str, body: str | None, deadline: Deadline
    ) -> tuple[int, bytes]:
        connection = self._connection
        assert connection is not None, "open() comes first"
        headers = {"Content-Type": "application/json"} if body else {}
        if self._address.token:
            headers["Authorization"] = f"Bearer {self._address.token}"
        late = TimedOut(f"{method} {path} was not answered within {deadline}")
        if connection.sock is None:
            connection.timeout = deadline.left_s
            try:
                connection.connect()
            except OSError as error:
                raise LinkDown(str(error) or type(error).__name__) from None
        try:
            with deadline.cutting(connection.sock):
                connection.request(method, self._address.path + path, body, headers)
                response = connection.getresponse()
                content = response.read()
        except (OSError, http.client.HTTPException) as error:
            if deadline.is_over:
                raise late from None
            raise LinkDown(str(error) or type(error).__name__) from None
        if deadline.is_over:  # what was cut off may look like an end
            raise late
        return response.status, content


def _text(content: bytes) -> str:
    return content[:500].decode(errors="replace")
