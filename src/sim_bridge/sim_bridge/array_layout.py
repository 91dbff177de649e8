"""The arrays of an observation as one row of numbers, and back."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence

import numpy as np

from sim_bridge.errors import InvalidState
from sim_bridge.types import ArraySpec


class ArrayLayout:
    """Packs the arrays that ``specs`` describe one after another, each row-major, as float64."""

    def __init__(self, specs: Sequence[ArraySpec]) -> None:
        ends = np.cumsum([0, *(int(np.prod(spec.shape)) for spec in specs)]).tolist()
        self._places = [
            (spec.name, slice(*ends[i : i + 2]), tuple(spec.shape), np.dtype(spec.dtype))
            for i, spec in enumerate(specs)
        ]
        self._size = ends[-1]

    def pack(self, arrays: Mapping[str, np.ndarray]) -> array:
        row = array("d")
        for name, _, _, _ in self._places:
            row.frombytes(arrays[name].astype(np.float64).tobytes())
        return row

    def unpack(self, row: Sequence[float]) -> dict[str, np.ndarray]:
        """Arrays with the dtype and shape of their specs; InvalidState for another size."""
        if len(row) != self._size:
            raise InvalidState(f"an observation of {len(row)} numbers; valid: {self._size}")
        return {
            name: np.array(row[place], dtype).reshape(shape)
            for name, place, shape, dtype in self._places
        }
