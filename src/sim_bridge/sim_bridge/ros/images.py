"""Images to arrays and back: ``cv_bridge``'s job for the encodings we use, in numpy.

``cv_bridge`` has no wheel (its namesake on PyPI is another project), so these few lines stand
in for it. Encodings follow ``sensor_msgs/image_encodings`` and REP 118 (depth as 32FC1 metres).
"""

from __future__ import annotations

from array import array

import numpy as np
import simplejpeg
from sensor_msgs.msg import CompressedImage, Image

_BYTE, _WORD, _FLOAT = np.dtype("<u1"), np.dtype("<u2"), np.dtype("<f4")
# encoding: (element type, channels)
_ENCODINGS: dict[str, tuple[np.dtype, int]] = {
    "rgb8": (_BYTE, 3),
    "bgr8": (_BYTE, 3),
    "rgba8": (_BYTE, 4),
    "bgra8": (_BYTE, 4),
    "mono8": (_BYTE, 1),
    "mono16": (_WORD, 1),
    "16UC1": (_WORD, 1),
    "32FC1": (_FLOAT, 1),
}


def to_image_msg(image: np.ndarray, encoding: str = "") -> Image:
    """``image (h, w)`` or ``(h, w, c)``; the encoding defaults by type: rgb8, mono8, 32FC1 ...

    The message holds the picture, not a copy: send it before the picture changes. Raises ValueError
    when the array does not fit the encoding.
    """
    encoding = encoding or _default_encoding(image)
    dtype, channels = _lookup(encoding)
    found = image.shape[2] if image.ndim == 3 else 1
    if image.dtype != dtype or found != channels or image.ndim not in (2, 3):
        raise ValueError(
            f"array of {image.dtype} {image.shape} is not {encoding} ({dtype}, {channels} channels)"
        )
    height, width = image.shape[:2]
    out = Image(height=height, width=width, encoding=encoding, is_bigendian=0)
    out.step = width * channels * dtype.itemsize
    # The picture itself: ``data`` takes an array only, but the converter reads any buffer, and a
    # copy costs as much as all the rest of the message.
    out._data = np.ascontiguousarray(image).reshape(-1).view(np.uint8)
    return out


def from_image_msg(image: Image) -> np.ndarray:
    """``(h, w)`` or ``(h, w, c)``; colour comes back as RGB(A). ValueError when malformed."""
    dtype, channels = _lookup(image.encoding)
    height, width, step, data = image.height, image.width, image.step, image.data
    used = width * channels * dtype.itemsize
    if len(data) != height * step or step < used:
        raise ValueError(
            f"{image.encoding} image of {width}x{height}, step {step} has {len(data)} bytes"
        )
    out = np.frombuffer(data, np.uint8)
    if step > used:
        out = np.ascontiguousarray(out.reshape(height, step)[:, :used])
    if image.is_bigendian and dtype.itemsize > 1:
        out = out.view(dtype.newbyteorder(">")).astype(dtype)
    out = out.view(dtype).reshape(height, width, channels)
    if image.encoding.startswith("bgr"):
        out = out[:, :, [2, 1, 0, 3][:channels]]
    return out[:, :, 0] if channels == 1 else out


def encode_jpeg(image: np.ndarray, quality: int = 90) -> CompressedImage:
    """``image (h, w, 3)`` RGB uint8."""
    data = simplejpeg.encode_jpeg(np.ascontiguousarray(image), quality=quality, colorspace="RGB")
    return CompressedImage(format="rgb8; jpeg compressed bgr8", data=array("B", data))


def decode_jpeg(image: CompressedImage) -> np.ndarray:
    """RGB ``(h, w, 3)`` uint8; ValueError when it is not a JPEG."""
    return simplejpeg.decode_jpeg(bytes(image.data), colorspace="RGB")


def _default_encoding(image: np.ndarray) -> str:
    channels = image.shape[2] if image.ndim == 3 else 1
    for encoding in ("rgb8", "rgba8", "mono8", "mono16", "32FC1"):
        dtype, wanted = _ENCODINGS[encoding]
        if image.dtype == dtype and channels == wanted:
            return encoding
    raise ValueError(f"no image encoding for {image.dtype} {image.shape}")


def _lookup(encoding: str) -> tuple[np.dtype, int]:
    try:
        return _ENCODINGS[encoding]
    except KeyError:
        raise ValueError(f"encoding {encoding!r}; known: {', '.join(_ENCODINGS)}") from None
