"""Parameters of the monitor node, validated once."""

from __future__ import annotations

from dataclasses import dataclass

from sim_bridge import names
from sim_bridge.errors import InvalidRequest


@dataclass(frozen=True)
class MonitorParameters:
    """``host`` and ``port`` to serve on; port 0 takes a free one.

    ``allowed_hosts`` are further names, comma-separated, under which browsers may ask for the
    page. ``image_topic`` is the video; its ``/compressed`` sibling is preferred where there is
    one. The simulator counts as lost after ``lost_after_s`` without a sign of life.
    """

    host: str = "127.0.0.1"
    port: int = 9000
    allowed_hosts: str = ""
    image_topic: str = names.MIRROR_IMAGE
    video_rate_hz: float = 30.0
    data_rate_hz: float = 10.0
    lost_after_s: float = 1.0
    command_timeout_s: float = 10.0

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise InvalidRequest(f"parameter port is {self.port}; valid: 0 to 65535")
        for name in ("video_rate_hz", "data_rate_hz"):
            if not 0.1 <= getattr(self, name) <= 120.0:
                raise InvalidRequest(
                    f"parameter {name} is {getattr(self, name)}; valid: 0.1 to 120"
                )
        for name in ("lost_after_s", "command_timeout_s"):
            if not getattr(self, name) > 0.0:
                raise InvalidRequest(
                    f"parameter {name} is {getattr(self, name)}; valid: above 0 [s]"
                )

    def hosts(self) -> tuple[str, ...]:
        """Names that the page may be asked for by, besides those of the loopback."""
        extra = tuple(h.strip() for h in self.allowed_hosts.split(",") if h.strip())
        return (self.host, *extra)
