from typing import Any

import numpy as np
import pytest

from sim_bridge.array_layout import ArrayLayout
from sim_bridge.errors import InvalidState
from sim_bridge.types import ArraySpec

_INF = np.array([np.inf])
LAYOUT = ArrayLayout(
    [
        ArraySpec("pixels", "int64", (2, 3), -_INF, _INF),
        ArraySpec("time", "float32", (), -_INF, _INF),
        ArraySpec("nothing", "float64", (0,), -_INF, _INF),
    ]
)
ARRAYS: dict[str, Any] = {
    "nothing": np.zeros(0),
    "pixels": np.arange(6).reshape(3, 2).T,  # not contiguous
    "time": np.float32(0.1),
}


def test_what_was_packed_comes_back():
    row = LAYOUT.pack(ARRAYS)
    assert row.typecode == "d" and row.tolist()[:6] == [0, 2, 4, 1, 3, 5]
    back = LAYOUT.unpack(row)
    for name, array in ARRAYS.items():
        assert np.array_equal(back[name], array) and back[name].dtype == array.dtype
        assert back[name].shape == array.shape


def test_a_row_of_another_size_is_refused():
    with pytest.raises(InvalidState, match="8 numbers; valid: 7"):
        LAYOUT.unpack([0.0] * 8)
