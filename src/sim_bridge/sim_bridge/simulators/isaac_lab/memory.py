"""The native block of an Isaac Lab scene: nested dictionaries of arrays as one file of bytes."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from sim_bridge.errors import InvalidState
from sim_bridge.files.safe_npz import read_npz

_SEPARATOR = "|"


def pack(tree: Mapping[str, Any]) -> bytes:
    """``tree`` has arrays or tensors as leaves, as ``InteractiveScene.get_state`` returns them."""
    buffer = io.BytesIO()
    leaves: dict[str, Any] = dict(_leaves(tree, ""))
    np.savez(buffer, **leaves)
    return buffer.getvalue()


def unpack(block: bytes, like: Mapping[str, Any]) -> dict[str, Any]:
    """The tree again; InvalidState unless its names and shapes are those of ``like``."""
    try:
        arrays = read_npz(block)
        wanted = dict(_leaves(like, ""))
        odd = sorted(set(arrays) ^ set(wanted))
        if odd:
            raise ValueError(f"{odd[0]!r} is in only one of them")
        for name, value in arrays.items():
            if value.shape != wanted[name].shape:
                raise ValueError(f"{name!r} has shape {value.shape}, not {wanted[name].shape}")
    except ValueError as error:
        raise InvalidState(f"native block does not belong to this scene: {error}") from None
    return _nested(like, "", arrays)


def _leaves(tree: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, np.ndarray]]:
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}{_SEPARATOR}")
        else:
            yield f"{prefix}{key}", np.asarray(value.cpu() if hasattr(value, "cpu") else value)


def _nested(
    like: Mapping[str, Any], prefix: str, arrays: Mapping[str, np.ndarray]
) -> dict[str, Any]:
    return {
        key: _nested(value, f"{prefix}{key}{_SEPARATOR}", arrays)
        if isinstance(value, Mapping)
        else arrays[f"{prefix}{key}"]
        for key, value in like.items()
    }
