"""Pickle where a protocol or a file format forces it on us, without running anything.

Reading: ``loads`` admits the classes that the caller names, numpy arrays and torch tensors, and
refuses every other global. Not even the admitted ones are called: each is replaced by an inert
stand-in of this module, whose fields are checked and turned into numpy arrays afterwards, so that
neither numpy's nor torch's own unpickling code sees what a stranger wrote. torch is not needed.

Writing: ``dumps`` writes instances of classes that only the server has (``Record``) and arrays
as ``numpy.ndarray(shape, dtype, buffer)``, which any numpy version on the other side rebuilds.

Sources: CPython's ``pickletools``; ``torch._utils._rebuild_tensor_v2`` and the legacy (not zip)
format of ``torch.save``, which is what pickling a storage embeds.
"""

from __future__ import annotations

import io
import math
import pickle
import struct
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import numpy as np

from sim_bridge.errors import OperationFailed

MAX_ELEMENTS = 10_000_000
_MAX_DEPTH = 32

_STORAGE_DTYPES = {
    "DoubleStorage": "<f8",
    "FloatStorage": "<f4",
    "HalfStorage": "<f2",
    "BFloat16Storage": "<u2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "?",
}


@dataclass
class Record:
    """An instance of a class that exists only on the server, as its name and fields."""

    module: str
    name: str
    fields: dict[str, Any] = field(default_factory=dict)


def loads(data: bytes, admit: frozenset[tuple[str, str]] = frozenset()) -> Any:
    """``load`` for a pickle in memory."""
    return load(io.BytesIO(data), admit)


def load(file: BinaryIO, admit: frozenset[tuple[str, str]] = frozenset()) -> Any:
    """Decode a pickle; instances of the ``(module, name)`` in ``admit`` become ``Record``.

    Raises OperationFailed for any other global, for what is malformed, and for arrays of more
    than ``MAX_ELEMENTS``.
    """
    try:
        return _resolve(_Unpickler(file, admit).load(), 0)
    except OperationFailed:
        raise
    except Exception as error:
        raise OperationFailed(f"refused a pickle: {type(error).__name__}: {error}") from None


def dumps(value: Any) -> bytes:
    """Protocol 5 pickle of None, bool, int, float, str, list, tuple, dict, arrays and Records."""
    return pickle.PROTO + b"\x05" + _write(value) + pickle.STOP


class _Sealed(type):
    """BUILD may set attributes of whatever is on the stack: not of these classes."""

    def __setattr__(cls, name: str, value: Any) -> None:
        raise pickle.UnpicklingError("an attempt to change a class")


class _Array(metaclass=_Sealed):
    """Stands in for numpy's ``_reconstruct`` and ``ndarray``."""

    __slots__ = ("arguments", "state")

    def __init__(self, *arguments: Any) -> None:
        self.arguments = arguments
        self.state = None

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def resolve(self, depth: int) -> np.ndarray:
        if self.state is None:  # ndarray(shape, dtype, buffer), as ``dumps`` writes it
            shape, code, data = self.arguments
            flat = np.frombuffer(_checked_bytes(data), _Dtype.plain(np.dtype(str(code))))
            return flat.reshape(_checked_shape(shape))
        _version, shape, dtype, fortran, data = self.state
        dtype = dtype.resolve(depth)
        shape = _checked_shape(shape)
        if dtype == np.dtype(object):
            if not isinstance(data, list) or len(data) != math.prod(shape):
                raise pickle.UnpicklingError("an object array whose items do not fit its shape")
            flat = np.empty(len(data), dtype=object)
            for i, item in enumerate(data):
                flat[i] = _resolve(item, depth + 1)
        else:
            flat = np.frombuffer(_checked_bytes(data), dtype)
        return flat.reshape(shape, order="F" if fortran else "C")


class _Frombuffer(metaclass=_Sealed):
    """numpy's ``_frombuffer(buffer, dtype, shape, order)`` of protocol 5."""

    __slots__ = ("arguments",)

    def __init__(self, *arguments: Any) -> None:
        self.arguments = arguments

    def resolve(self, depth: int) -> np.ndarray:
        data, dtype, shape, order = self.arguments
        flat = np.frombuffer(_checked_bytes(data), _Dtype.plain(dtype.resolve(depth)))
        return flat.reshape(_checked_shape(shape), order="F" if order == "F" else "C")


class _Scalar(metaclass=_Sealed):
    """numpy's ``scalar(dtype, bytes)``."""

    __slots__ = ("arguments",)

    def __init__(self, *arguments: Any) -> None:
        self.arguments = arguments

    def resolve(self, depth: int) -> Any:
        dtype, data = self.arguments
        return np.frombuffer(_checked_bytes(data), _Dtype.plain(dtype.resolve(depth)))[0]


class _Dtype(metaclass=_Sealed):
    """``numpy.dtype(code, align, copy)`` with the byte order in its state; plain kinds only."""

    __slots__ = ("arguments", "state")

    def __init__(self, *arguments: Any) -> None:
        self.arguments = arguments
        self.state = (3, "<")

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def resolve(self, _depth: int) -> np.dtype:
        code, order = str(self.arguments[0]), self.state[1]
        if code in ("O8", "O", "|O"):
            return np.dtype(object)
        if code[:1] not in tuple("biuf") or order not in ("<", ">", "|", "="):
            raise pickle.UnpicklingError(f"an array of dtype {order}{code}")
        return np.dtype(order + code)

    @staticmethod
    def plain(dtype: np.dtype) -> np.dtype:
        if dtype.kind not in "biuf":
            raise pickle.UnpicklingError(f"an array of dtype {dtype}")
        return dtype


class _Storage(metaclass=_Sealed):
    """``torch.storage._load_from_bytes``: a 1-D storage in torch's legacy file format."""

    __slots__ = ("arguments",)

    def __init__(self, *arguments: Any) -> None:
        self.arguments = arguments

    def resolve(self, _depth: int) -> np.ndarray:
        return _read_legacy_storage(_checked_bytes(self.arguments[0]))


class _Tensor(metaclass=_Sealed):
    """``torch._utils._rebuild_tensor_v2(storage, offset, size, stride, grad, hooks)``."""

    __slots__ = ("arguments",)

    def __init__(self, *arguments: Any) -> None:
        self.arguments = arguments

    def resolve(self, depth: int) -> np.ndarray:
        storage, offset, size, stride = self.arguments[:4]
        values = storage.resolve(depth)
        shape, stride = _checked_shape(size), tuple(int(s) for s in stride)
        last = offset + sum((n - 1) * s for n, s in zip(shape, stride, strict=True) if n)
        if offset < 0 or min(stride, default=0) < 0 or (math.prod(shape) and last >= len(values)):
            raise pickle.UnpicklingError("a tensor that reaches outside its storage")
        strides = tuple(s * values.itemsize for s in stride)
        return np.lib.stride_tricks.as_strided(values[offset:], shape, strides).copy()


class _Hooks(metaclass=_Sealed):
    """``collections.OrderedDict()``: the backward hooks of a tensor, always empty."""

    __slots__ = ()


class _Bytes(metaclass=_Sealed):
    """How protocols 0 to 2 write bytes: ``_codecs.encode(text, "latin1")``, ``bytes()``."""

    __slots__ = ("arguments",)

    def __init__(self, *arguments: Any) -> None:
        self.arguments = arguments

    def resolve(self, _depth: int = 0) -> bytes:
        text, encoding = self.arguments or ("", "latin1")
        if not isinstance(text, str) or encoding != "latin1":
            raise pickle.UnpicklingError(f"bytes as text in {encoding!r}")
        return text.encode("latin1")


_GLOBALS = {
    ("_codecs", "encode"): _Bytes,
    ("__builtin__", "bytes"): _Bytes,
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Dtype,
    ("torch._utils", "_rebuild_tensor_v2"): _Tensor,
    ("torch.storage", "_load_from_bytes"): _Storage,
    ("collections", "OrderedDict"): _Hooks,
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _Array for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): _Scalar for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): _Frombuffer for core in ("core", "_core")},
}


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: BinaryIO, admit: frozenset[tuple[str, str]]) -> None:
        super().__init__(file)
        self._admit = admit

    def find_class(self, module: str, name: str) -> type:
        if (module, name) in _GLOBALS:
            return _GLOBALS[module, name]
        if (module, name) in self._admit:
            # A class of its own for each load: nothing that a pickle does to it can stay.
            return _Sealed("_Admitted", (_Instance,), {"__slots__": (), "origin": (module, name)})
        raise OperationFailed(
            f"refused a pickle: it names {module}.{name}; admitted: "
            + (", ".join(f"{m}.{n}" for m, n in sorted(self._admit)) or "numpy and torch arrays")
        )


class _Instance(metaclass=_Sealed):
    """An admitted class: created without arguments, then given its fields."""

    __slots__ = ("state",)
    origin: tuple[str, str] = ("", "")

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def resolve(self, depth: int) -> Record:
        fields = {str(k): _resolve(v, depth + 1) for k, v in dict(self.state).items()}
        return Record(*self.origin, fields)


class _StorageUnpickler(pickle.Unpickler):
    """The pickles inside a storage: plain data and one persistent id."""

    def find_class(self, module: str, name: str) -> str:
        if module == "torch" and name in _STORAGE_DTYPES:
            return name
        raise OperationFailed(f"refused a pickle: a tensor's storage names {module}.{name}")

    def persistent_load(self, pid: Any) -> Any:
        return pid


def _read_legacy_storage(data: bytes) -> np.ndarray:
    """Three header pickles, the persistent id, the list of keys, a count, the values."""
    stream = io.BytesIO(data)
    _magic, _protocol, system, pid, _keys = (_StorageUnpickler(stream).load() for _ in range(5))
    kind, storage_name, _key, _location, count = pid[:5]
    if kind != "storage" or not system.get("little_endian", False):
        raise pickle.UnpicklingError(f"a storage of kind {kind!r} (little-endian only)")
    (written,) = struct.unpack("<q", stream.read(8))
    if not written == count <= MAX_ELEMENTS:
        raise pickle.UnpicklingError(f"a storage of {written} values that says {count}")
    dtype = np.dtype(_STORAGE_DTYPES[storage_name])
    values = np.frombuffer(data, dtype, count=count, offset=stream.tell())
    if storage_name == "BFloat16Storage":  # the upper half of a float32
        return (values.astype("<u4") << 16).view("<f4")
    return values


def _resolve(value: Any, depth: int) -> Any:
    if depth > _MAX_DEPTH:
        raise pickle.UnpicklingError("nested too deeply")
    if isinstance(type(value), _Sealed):
        return {} if isinstance(value, _Hooks) else value.resolve(depth + 1)
    if isinstance(value, (list, tuple)):
        return type(value)(_resolve(item, depth + 1) for item in value)
    if isinstance(value, dict):
        return {_resolve(k, depth + 1): _resolve(v, depth + 1) for k, v in value.items()}
    if isinstance(value, type):
        raise pickle.UnpicklingError("a class instead of a value")
    return value


def _checked_shape(shape: Any) -> tuple[int, ...]:
    shape = tuple(int(n) for n in shape)
    if min(shape, default=0) < 0 or math.prod(shape) > MAX_ELEMENTS:
        raise pickle.UnpicklingError(f"an array of shape {shape}")
    return shape


def _checked_bytes(data: Any) -> bytes:
    if isinstance(data, _Bytes):
        return data.resolve()
    if not isinstance(data, (bytes, bytearray)):
        raise pickle.UnpicklingError(f"{type(data).__name__} where bytes belong")
    return bytes(data)


def _write(value: Any) -> bytes:
    if isinstance(value, Record):
        return _global(value.module, value.name) + b")\x81" + _write(value.fields) + pickle.BUILD
    if isinstance(value, np.ndarray):
        if value.dtype.kind not in "biuf":
            raise TypeError(f"arrays of {value.dtype} cannot be sent")
        data = value.tobytes()
        arguments = _write(value.shape) + _write(value.dtype.str)
        arguments += pickle.BYTEARRAY8 + struct.pack("<Q", len(data)) + data
        return _global("numpy", "ndarray") + b"(" + arguments + b"tR"
    if isinstance(value, dict):
        items = b"".join(_write(k) + _write(v) for k, v in value.items())
        return pickle.EMPTY_DICT + b"(" + items + pickle.SETITEMS
    if isinstance(value, list):
        return pickle.EMPTY_LIST + b"(" + b"".join(map(_write, value)) + pickle.APPENDS
    if isinstance(value, tuple):
        return b"(" + b"".join(map(_write, value)) + pickle.TUPLE
    if isinstance(value, str):
        text = value.encode()
        return pickle.BINUNICODE + struct.pack("<I", len(text)) + text
    if value is None or isinstance(value, bool):
        return {None: pickle.NONE, True: pickle.NEWTRUE, False: pickle.NEWFALSE}[value]
    if isinstance(value, int):
        return pickle.LONG1 + _length_prefixed(pickle.encode_long(value))
    if isinstance(value, float):
        return pickle.BINFLOAT + struct.pack(">d", value)
    raise TypeError(f"{type(value).__name__} cannot be sent")


def _length_prefixed(data: bytes) -> bytes:
    return bytes([len(data)]) + data


def _global(module: str, name: str) -> bytes:
    return pickle.GLOBAL + f"{module}\n{name}\n".encode()
