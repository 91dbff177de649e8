"""Image sizes and layouts as model servers ask for them."""

from __future__ import annotations

import numpy as np
from PIL import Image


def resize(image: np.ndarray, size: tuple[int, int], fit: str) -> np.ndarray:
    """RGB ``(h, w, 3)`` uint8 to ``size`` (height, width), bilinear.

    ``fit="pad"`` keeps the aspect ratio and centres the image on black, as openpi's clients do;
    ``"stretch"`` does not keep it.
    """
    height, width = size
    if image.shape[:2] == size:
        return image
    if fit == "stretch":
        return _bilinear(image, height, width)
    ratio = max(image.shape[0] / height, image.shape[1] / width)
    inner = _bilinear(image, int(image.shape[0] / ratio), int(image.shape[1] / ratio))
    padded = np.zeros((height, width, 3), np.uint8)
    top, left = (height - inner.shape[0]) // 2, (width - inner.shape[1]) // 2
    padded[top : top + inner.shape[0], left : left + inner.shape[1]] = inner
    return padded


def _bilinear(image: np.ndarray, height: int, width: int) -> np.ndarray:
    resized = Image.fromarray(image).resize(
        (max(width, 1), max(height, 1)), Image.Resampling.BILINEAR
    )
    return np.asarray(resized)
