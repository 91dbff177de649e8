"""Who may ask the policy servers."""

from __future__ import annotations

import hmac
from dataclasses import dataclass

from sim_bridge.errors import InvalidRequest

LOOPBACK = ("127.0.0.1", "::1", "localhost")
_SCHEMES = ("api-key", "bearer")


@dataclass(frozen=True)
class Access:
    """Bound to ``host``; a ``token`` is required unless ``allow_anonymous`` says otherwise.

    Raises InvalidRequest when neither is given. The protocols are not encrypted: beyond
    loopback, put them behind SSH or a TLS proxy.
    """

    token: str = ""
    allow_anonymous: bool = False
    host: str = "127.0.0.1"

    def __post_init__(self) -> None:
        if not self.token and not self.allow_anonymous:
            raise InvalidRequest(
                "serving a policy needs a token (environment variable POLICY_NODE_TOKEN); "
                "to serve without one, say so (serve_anonymously)"
            )
        if self.token and not self.token.isascii():
            raise InvalidRequest("the token must be ASCII: it travels in a header")

    @property
    def is_exposed(self) -> bool:
        return self.host not in LOOPBACK

    def admits(self, token: object) -> bool:
        if not self.token:
            return True
        return isinstance(token, str) and hmac.compare_digest(token.encode(), self.token.encode())

    def admits_header(self, authorization: str | None) -> bool:
        """``Authorization: Api-Key TOKEN`` as openpi's clients send it, or ``Bearer TOKEN``."""
        scheme, _, token = (authorization or "").partition(" ")
        return self.admits(token.strip() if scheme.lower() in _SCHEMES else None)
