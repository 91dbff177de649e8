"""Parameters of the monitor node, validated once."""

from __future__ import annotations

from dataclasses import dataclass

from sim_bridge import names
from sim_bridge.settings.parameters import check, parameter


@dataclass(frozen=True)
class MonitorParameters:
    """Where the page is served, and how often it is told what."""

    host: str = parameter("127.0.0.1", "address to serve on")
    port: int = parameter(9000, "port to serve on, or the next free one; 0: any", low=0, high=65535)
    allowed_hosts: str = parameter(
        "", "further names under which browsers may ask for the page, comma-separated"
    )
    image_topic: str = parameter(
        names.MIRROR_IMAGE, "the video; its /compressed sibling is preferred where there is one"
    )
    video_rate_hz: float = parameter(30.0, "pictures at most [Hz]", low=0.1, high=120.0)
    data_rate_hz: float = parameter(10.0, "updates of numbers and plots [Hz]", low=0.1, high=120.0)
    lost_after_s: float = parameter(
        1.0, "time without a sign of life after which the simulator counts as lost [s]", above=0.0
    )
    command_timeout_s: float = parameter(
        10.0, "how long a button waits for its answer [s]", above=0.0
    )

    def __post_init__(self) -> None:
        check(self)

    def hosts(self) -> tuple[str, ...]:
        """Names that the page may be asked for by, besides those of the loopback."""
        extra = tuple(h.strip() for h in self.allowed_hosts.split(",") if h.strip())
        return (self.host, *extra)
