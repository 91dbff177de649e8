"""Pictures to messages and back, as other drivers lay them out too."""

from __future__ import annotations

from array import array

import numpy as np
import pytest
from sensor_msgs.msg import Image

from sim_bridge.ros.images import from_image_msg, to_image_msg

RGB = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
DEPTH = np.arange(6, dtype=np.float32).reshape(2, 3) + 0.5
WORDS = np.arange(6, dtype=np.uint16).reshape(2, 3) + 1000


def message(encoding: str, data: bytes, step: int, is_bigendian: int = 0) -> Image:
    out = Image(height=2, width=3, encoding=encoding, step=step, is_bigendian=is_bigendian)
    out.data = array("B", data)
    return out


@pytest.mark.parametrize("image", [RGB, RGB[:, ::-1], RGB[:, :, 0], DEPTH, WORDS])
def test_a_picture_comes_back(image):
    out = from_image_msg(to_image_msg(image))
    assert out.dtype == image.dtype and np.array_equal(out, image)


def test_rows_may_be_padded():
    padded = b"".join(row.tobytes() + b"xxx" for row in RGB)
    assert np.array_equal(from_image_msg(message("rgb8", padded, 12)), RGB)


def test_colours_and_bytes_are_put_in_order():
    assert np.array_equal(from_image_msg(message("bgr8", RGB[:, :, ::-1].tobytes(), 9)), RGB)
    swapped = WORDS.astype(">u2").tobytes()
    out = from_image_msg(message("mono16", swapped, 6, is_bigendian=1))
    assert out.dtype == WORDS.dtype and np.array_equal(out, WORDS)


def test_a_malformed_picture_is_refused():
    with pytest.raises(ValueError, match="step 9 has 17 bytes"):
        from_image_msg(message("rgb8", RGB.tobytes()[:-1], 9))
    with pytest.raises(ValueError, match="step 8"):
        from_image_msg(message("rgb8", RGB.tobytes()[:16], 8))
    with pytest.raises(ValueError, match="known: rgb8"):
        from_image_msg(message("yuv422", b"", 0))
