"""Telling HDF5 layouts apart."""

from __future__ import annotations

from pathlib import Path


def has_key(path: Path, key: str) -> bool:
    """Whether ``path`` is an HDF5 file with something at ``key``."""
    if path.suffix not in (".hdf5", ".h5") or not path.is_file():
        return False
    import h5py

    try:
        with h5py.File(path, "r") as file:
            return key in file
    except OSError:
        return False
