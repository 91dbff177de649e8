"""The newest picture, encoded once for all viewers."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import simplejpeg

_QUALITY = 80
_LINGER_S = 10.0


@dataclass(frozen=True)
class Picture:
    """An image ``(h, w, 3)`` RGB or ``(h, w)`` grey uint8, or one that is a JPEG already."""

    image: np.ndarray | None = None
    jpeg: bytes = b""

    def encoded(self) -> bytes:
        if self.image is None:
            return self.jpeg
        grey = self.image.ndim == 2
        image = np.ascontiguousarray(self.image if not grey else self.image[:, :, None])
        return simplejpeg.encode_jpeg(
            image, quality=_QUALITY, colorspace="GRAY" if grey else "RGB", fastdct=True
        )


class VideoFeed:
    """Takes pictures from any thread; ``take`` gives the newest one as a JPEG, once.

    ``wanted`` tells whoever makes pictures whether they are looked at.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._picture: Picture | None = None
        self._on_picture: Callable[[], None] = lambda: None
        self._watched = False
        self._last_watched = float("-inf")

    def listen(self, on_picture: Callable[[], None]) -> None:
        """``on_picture`` is called after each ``put``, in its thread."""
        self._on_picture = on_picture

    def watched(self, now_on: bool) -> None:
        """Said by the server when the first viewer comes and when the last one leaves."""
        self._watched = now_on
        self._last_watched = self._clock()

    def wanted(self) -> bool:
        """Also true for a while after the last viewer: pages are reloaded."""
        return self._watched or self._clock() - self._last_watched < _LINGER_S

    def put(self, picture: Picture) -> None:
        with self._lock:
            self._picture = picture
        self._on_picture()

    def take(self) -> bytes | None:
        """None when there is nothing newer than what was taken last."""
        with self._lock:
            picture, self._picture = self._picture, None
        return picture.encoded() if picture is not None else None
