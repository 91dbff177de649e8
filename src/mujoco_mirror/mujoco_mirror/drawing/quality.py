"""How much a frame may cost. Shadows, reflections, samples and triangles are what matters."""

from __future__ import annotations

from dataclasses import dataclass

from sim_bridge.errors import unknown


@dataclass(frozen=True)
class Quality:
    """``samples`` per pixel (0: no smoothing of edges), ``shadow_size`` of the shadow map [px]
    (0: shadows on the floor only, by projection), and ``mesh_detail``: size below which shape is
    dropped, as a fraction of the robot's size (0: keep everything).
    """

    name: str
    samples: int
    shadow_size: int
    reflections: bool
    mesh_detail: float


QUALITIES = {
    quality.name: quality
    for quality in (
        Quality("fast", samples=0, shadow_size=0, reflections=False, mesh_detail=1 / 200),
        Quality("balanced", samples=4, shadow_size=0, reflections=False, mesh_detail=1 / 300),
        Quality("best", samples=8, shadow_size=4096, reflections=True, mesh_detail=0.0),
    )
}
AUTO = "auto"


def quality_named(name: str, software_gl: bool = False) -> Quality:
    """A preset by name; ``auto`` is ``best`` on a GPU and ``fast`` on a software rasteriser."""
    if name == AUTO:
        name = "fast" if software_gl else "best"
    if name not in QUALITIES:
        raise unknown("quality", name, [AUTO, *QUALITIES])
    return QUALITIES[name]
