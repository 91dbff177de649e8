"""Episodes as H.264 videos."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from sim_bridge.episodes.running import Subscriber
from sim_bridge.files.output import writing
from sim_bridge.types import EpisodeResult, StepReply


class Film(Subscriber):
    """Writes what ``camera`` saw of an episode to ``path``, unless the episode was canceled.

    The environment must draw the camera. ``rate_hz`` is that of the control steps.
    """

    every_step = True

    def __init__(self, camera: str, path: Path, rate_hz: float) -> None:
        self._camera = camera
        self._path = path
        self._rate_hz = rate_hz
        self._frames: list[np.ndarray] = []

    def on_start(self, seed: int | None, first: StepReply) -> None:
        self._frames = [first.observation.images[self._camera]]

    def on_step(self, actions: np.ndarray, reply: StepReply) -> None:
        self._frames.append(reply.observation.images[self._camera])

    def on_end(self, result: EpisodeResult) -> None:
        if not result.canceled:
            with writing(self._path):
                self._path.parent.mkdir(parents=True, exist_ok=True)
                _write_video(self._path, self._frames, self._rate_hz)


def _write_video(path: Path, frames: Sequence[np.ndarray], rate_hz: float) -> None:
    """``frames`` are RGB ``(h, w, 3)`` uint8 of one size with even sides."""
    with av.open(str(path), "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=Fraction(rate_hz).limit_denominator(1000))
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.options = {"preset": "veryfast"}
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
