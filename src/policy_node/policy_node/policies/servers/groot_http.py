"""GR00T's inference server over HTTP: ``http://host:8000``.

Source: github.com/NVIDIA/Isaac-GR00T, ``scripts/inference_service.py --http_server``:
``GET /health``, ``POST /act {"observation": {...}}`` with ``json_numpy`` arrays; some variants
answer nested lists, have ``POST /reset``, or want ``{"encoded": "<json>"}`` (``?encoded=1``).
Errors are 4xx or 500 with ``{"detail": text}``. Observations are laid out as N1.5 does unless
``?version=`` says otherwise.
"""

from __future__ import annotations

from typing import Any

import httpx

from policy_node.policies.servers import groot_layout
from policy_node.policies.servers.address import ServerAddress
from policy_node.policies.servers.encodings import arrays_json
from policy_node.policies.servers.key_map_file import load_key_map
from policy_node.policies.servers.link import LinkDown, RemoteSource, ServerInfo, connect
from sim_bridge.errors import InvalidRequest, OperationFailed, TimedOut
from sim_bridge.types import SimSpec


def open_source(address: ServerAddress, sim_spec: SimSpec | None = None) -> RemoteSource:
    """Raises OperationFailed when nobody answers. The protocol tells nothing of its keys,
    but this project's own server names those of the images that it looks at."""
    address.check_options("version", "encoded")
    version = groot_layout.check_version(address.options.get("version", "n1.5"), str(address))
    key_map = load_key_map(address.options.get("map", "groot"))
    if sim_spec:
        key_map = key_map.bound_to(sim_spec)

    def links() -> GrootHttpLink:
        return GrootHttpLink(address, version)

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
        self._client: httpx.Client | None = None

    @property
    def is_open(self) -> bool:
        return self._client is not None

    def open(self, timeout_s: float) -> ServerInfo:
        token = self._address.token
        self._client = httpx.Client(
            base_url=str(self._address),
            headers={"Authorization": f"Bearer {token}"} if token else {},
            trust_env=False,
        )
        health = self._ask("GET", "/health", None, timeout_s)
        said = health if isinstance(health, dict) else {}
        return ServerInfo(f"GR00T {self._version} HTTP", said)

    def infer(self, request: dict[str, Any], timeout_s: float) -> dict[str, Any]:
        body: dict[str, Any] = {"observation": groot_layout.laid_out(request, self._version)}
        if self._encoded:
            body = {"encoded": arrays_json.dumps(body)}
        reply = self._ask("POST", "/act", arrays_json.dumps(body), timeout_s)
        if isinstance(reply, str):  # an answer that was encoded twice, like the request
            reply = arrays_json.loads(reply)
        return groot_layout.unbatched(reply)

    def reset(self, seed: int | None, instruction: str, timeout_s: float) -> None:
        """Servers without ``/reset`` have nothing to reset."""
        self._ask("POST", "/reset", "{}", timeout_s, absent_is_fine=True)

    def close(self) -> None:
        if self._client:
            self._client.close()
            self._client = None

    def _ask(
        self, method: str, path: str, body: str | None, timeout_s: float, absent_is_fine=False
    ) -> Any:
        assert self._client is not None, "open() comes first"
        headers = {"Content-Type": "application/json"} if body else {}
        try:
            response = self._client.request(
                method, path, content=body, headers=headers, timeout=timeout_s
            )
        except httpx.ConnectTimeout as error:
            raise LinkDown(str(error) or "no connection") from None
        except httpx.TimeoutException:
            raise TimedOut(f"{method} {path} was not answered within {timeout_s:g} s") from None
        except httpx.TransportError as error:
            raise LinkDown(str(error) or type(error).__name__) from None
        if response.status_code in (404, 405) and absent_is_fine:
            return None
        if response.status_code in (401, 403):
            raise InvalidRequest(f"{self._address} refuses this token: {response.text[:200]}")
        if response.is_error:
            raise OperationFailed(
                f"{method} {path} answered {response.status_code}: {response.text[:500]}"
            )
        return arrays_json.loads(response.content)
