"""numpy arrays inside JSON as ``json_numpy`` writes them.

``{"__numpy__": base64, "dtype": "<f4", "shape": [...]}``; some GR00T servers take and give
nested lists, or the key ``__ndarray__``, instead: both are read.
"""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np

from sim_bridge.errors import OperationFailed

_KEYS = ("__numpy__", "__ndarray__")


def dumps(data: Any) -> str:
    return json.dumps(data, default=_encode)


def loads(text: str | bytes) -> Any:
    """Raises OperationFailed for what is not JSON or holds a malformed array."""
    try:
        return json.loads(text, object_hook=_decode)
    except (ValueError, TypeError, KeyError) as error:
        raise OperationFailed(f"not a JSON message ({len(text)} bytes): {error}") from None


def _encode(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "biuf":
        raise TypeError(f"{type(value).__name__} cannot be sent as JSON")
    data = base64.b64encode(value.tobytes()).decode("ascii")
    return {"__numpy__": data, "dtype": value.dtype.str, "shape": list(value.shape)}


def _decode(value: dict) -> Any:
    for key in _KEYS:
        if isinstance(value.get(key), str):
            dtype = np.dtype(value["dtype"])
            if dtype.kind not in "biuf":
                raise TypeError(f"arrays of {dtype} are refused")
            return np.frombuffer(base64.b64decode(value[key]), dtype).reshape(value["shape"])
    return value
