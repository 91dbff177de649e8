"""H.264 in an mp4 that browsers play while it loads: yuv420p, index in front, one frame a step."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from sim_bridge.errors import InvalidRequest, OperationFailed

# Frames that may wait for the encoder before the drawing thread has to: about 30 MB at VGA.
_BACKLOG = 32


class VideoWriter:
    """Encodes on a thread of its own. Frame ``k`` is shown at ``k * period_s`` [s].

    ``write`` takes RGB ``(height, width, 3)`` uint8; width and height must be even.
    """

    def __init__(self, path: Path, width: int, height: int, period_s: float) -> None:
        if width % 2 or height % 2 or period_s <= 0:
            raise InvalidRequest(
                f"video of {width}x{height} px, {period_s} s a frame: "
                "width and height must be even and the period positive"
            )
        self.path = Path(path)
        self.frames = 0
        self._period = Fraction(period_s).limit_denominator(100_000)
        self._size = (height, width, 3)
        self._queue: queue.Queue[tuple[int, np.ndarray] | None] = queue.Queue(_BACKLOG)
        self._failure: Exception | None = None
        self._ended = False
        self._thread = threading.Thread(target=self._run, name="video", daemon=True)
        self._thread.start()

    def write(self, image: np.ndarray, index: int | None = None) -> None:
        """Queue a frame; ``index`` may leave gaps (steps that never arrived) but must grow.

        Raises OperationFailed when the encoder has failed.
        """
        if image.shape != self._size or image.dtype != np.uint8:
            raise InvalidRequest(f"frame {image.shape} {image.dtype}, expected {self._size} uint8")
        self._check()
        self._queue.put((self.frames if index is None else index, image))
        self.frames += 1

    def close(self) -> None:
        """Finish the file; OperationFailed when anything of it could not be written."""
        self._queue.put(None)
        self._thread.join()
        self._check()

    def _check(self) -> None:
        if self._failure is not None:
            raise OperationFailed(f"video {self.path}: {self._failure}") from self._failure

    def _run(self) -> None:
        try:
            self._encode()
        except Exception as error:  # any failure must reach the thread that writes
            self._failure = error
            for _ in self._frames():
                pass  # nobody is left waiting for room in the queue

    def _frames(self) -> Iterator[tuple[int, np.ndarray]]:
        while not self._ended:
            item = self._queue.get()
            self._ended = item is None
            if item is not None:
                yield item

    def _encode(self) -> None:
        with av.open(str(self.path), "w", options={"movflags": "+faststart"}) as container:
            stream = container.add_stream("libx264", rate=1 / self._period)
            stream.height, stream.width = self._size[:2]
            stream.pix_fmt = "yuv420p"
            # The encoder shares the machine with the drawing and often the simulator. Slower
            # presets save a fifth of the file at twice the work, and threads cost a quarter more.
            stream.options = {"preset": "ultrafast", "crf": "22"}
            stream.codec_context.thread_count = 1
            stream.codec_context.time_base = self._period
            for index, image in self._frames():
                frame = av.VideoFrame.from_ndarray(image, format="rgb24")
                frame.pts, frame.time_base = index, self._period
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
