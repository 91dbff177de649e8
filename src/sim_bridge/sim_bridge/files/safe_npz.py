"""``.npz`` archives from strangers: refused by their headers, before anything is unpacked."""

from __future__ import annotations

import io
import math
import zipfile
import zlib
from pathlib import Path

import numpy as np
from numpy.lib import format as npy

LARGEST_BYTES = 1 << 30
_ERRORS = (OSError, EOFError, KeyError, TypeError, MemoryError, zipfile.BadZipFile, zlib.error)


def read_npz(source: Path | bytes, largest_bytes: int = LARGEST_BYTES) -> dict[str, np.ndarray]:
    """All arrays by name, nothing pickled.

    ValueError for what is damaged, for an array whose size is not what its header says, and for
    an archive that would unpack to more than ``largest_bytes``.
    """
    file = io.BytesIO(source) if isinstance(source, bytes) else source
    try:
        with zipfile.ZipFile(file) as archive:
            unpacked = sum(member.file_size for member in archive.infolist())
            if unpacked > largest_bytes:
                raise ValueError(f"it would unpack to {unpacked} bytes; valid: {largest_bytes}")
            for member in archive.infolist():
                _check_header(archive, member)
        if isinstance(file, io.BytesIO):
            file.seek(0)
        with np.load(file, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except _ERRORS as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error


def _check_header(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> None:
    with archive.open(member) as stream:
        version = npy.read_magic(stream)
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, _, dtype = read(stream)
        if dtype.hasobject:
            raise ValueError(f"{member.filename} holds pickled objects, which are never loaded")
        if stream.tell() + math.prod(shape) * dtype.itemsize != member.file_size:
            raise ValueError(f"{member.filename} is not as large as its shape {shape}")
