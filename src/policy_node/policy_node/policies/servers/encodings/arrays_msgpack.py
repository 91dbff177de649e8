"""numpy arrays inside msgpack, in the two forms that model servers speak.

openpi (``openpi_client.msgpack_numpy``): ``{b"__ndarray__": True, b"data": bytes, b"dtype":
"<f4", b"shape": [...]}`` and ``{b"__npgeneric__": True, b"data": item, b"dtype": ...}``.
GR00T (``gr00t.policy.server_client.MsgSerializer``): ``{"__ndarray_class__": True, "as_npy":
bytes of numpy.save}`` and ``{"__ModalityConfig_class__": True, "as_json": ...}``.
Neither form can hold objects, so nothing is ever unpickled here.
"""

from __future__ import annotations

import io
import json
from typing import Any

import msgpack
import numpy as np

from sim_bridge.errors import OperationFailed

_PLAIN_KINDS = "biufSUmM"


def pack_openpi(data: Any) -> bytes:
    """Raises TypeError for values that the format cannot hold."""
    return msgpack.packb(data, default=_to_openpi)


def unpack_openpi(data: bytes) -> Any:
    """Arrays come back read-only, on the bytes received. OperationFailed for malformed data."""
    return _unpack(data, _from_openpi)


def pack_groot(data: Any) -> bytes:
    return msgpack.packb(data, default=_to_groot)


def unpack_groot(data: bytes) -> Any:
    """ModalityConfig maps come back as plain dicts. OperationFailed for malformed data."""
    return _unpack(data, _from_groot)


def modality_config(keys: list[str], steps: int = 1) -> dict[str, Any]:
    """A GR00T ModalityConfig map as its client decodes it; it refuses one without keys."""
    fields = {"delta_indices": list(range(steps)), "modality_keys": keys}
    return {"__ModalityConfig_class__": True, "as_json": fields}


def _unpack(data: bytes, hook) -> Any:
    try:
        return msgpack.unpackb(data, object_hook=hook, strict_map_key=False)
    except Exception as error:
        raise OperationFailed(f"not a msgpack message ({len(data)} bytes): {error}") from None


def _to_openpi(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        _check_kind(value.dtype)
        data = np.ascontiguousarray(value)
        shape = list(value.shape)
        # msgpack writes a memoryview as it is: one copy of the image less than tobytes().
        view = data.data.cast("B") if data.size else b""
        return {b"__ndarray__": True, b"data": view, b"dtype": value.dtype.str, b"shape": shape}
    if isinstance(value, np.generic):
        _check_kind(value.dtype)
        return {b"__npgeneric__": True, b"data": value.item(), b"dtype": value.dtype.str}
    raise TypeError(f"{type(value).__name__} cannot be sent over the openpi protocol")


def _from_openpi(value: dict) -> Any:
    if b"__ndarray__" in value:
        dtype = _check_kind(np.dtype(value[b"dtype"]))
        return np.frombuffer(value[b"data"], dtype=dtype).reshape(value[b"shape"])
    if b"__npgeneric__" in value:
        return _check_kind(np.dtype(value[b"dtype"])).type(value[b"data"])
    return value


def _to_groot(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if not isinstance(value, np.ndarray):
        raise TypeError(f"{type(value).__name__} cannot be sent over the GR00T protocol")
    buffer = io.BytesIO()
    np.save(buffer, value, allow_pickle=False)
    return {"__ndarray_class__": True, "as_npy": buffer.getvalue()}


def _from_groot(value: dict) -> Any:
    if "__ndarray_class__" in value:
        return np.load(io.BytesIO(value["as_npy"]), allow_pickle=False)
    if "__ModalityConfig_class__" in value:
        fields = value["as_json"]
        return json.loads(fields) if isinstance(fields, str) else fields
    return value


def _check_kind(dtype: np.dtype) -> np.dtype:
    if dtype.kind not in _PLAIN_KINDS:
        raise TypeError(f"arrays of {dtype} are refused")
    return dtype
