"""Archives of arrays from strangers."""

import io
import time
import zipfile
from typing import Any

import numpy as np
import pytest

from sim_bridge.errors import InvalidRequest
from sim_bridge.files.safe_npz import read_npz
from sim_bridge.trajectories.trajectory import load_trajectory


def archive(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(f"{name}.npy", content)
    return buffer.getvalue()


def npy(array) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def test_arrays_come_back():
    arrays: dict[str, Any] = {"a": np.arange(6.0).reshape(2, 3), "text": np.array("{}")}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    read = read_npz(buffer.getvalue())
    assert read.keys() == arrays.keys()
    for name, array in arrays.items():
        assert np.array_equal(read[name], array) and read[name].dtype == array.dtype


def test_a_bomb_is_refused_by_its_headers(tmp_path):
    """1 MB on disk, a little more than is read unpacked: 1 GB of zeros."""
    path = tmp_path / "bomb.npz"
    count = 1 << 27
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<f8", "fortran_order": False, "shape": (count,)}
    )
    zeros = bytes(1 << 22)
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file,
        file.open("actions.npy", "w", force_zip64=True) as member,
    ):
        member.write(header.getvalue())
        for _ in range(8 * count // len(zeros)):
            member.write(zeros)
    start = time.perf_counter()
    with pytest.raises(InvalidRequest, match="would unpack to 10737.* bytes"):
        load_trajectory(path)
    assert time.perf_counter() - start < 1.0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (archive(a=npy(np.zeros(4))[:-8]), "not as large as its shape"),
        (archive(a=b"not an array"), "magic"),
        (archive(a=npy(np.zeros(4)))[:-30], "BadZipFile"),
        (b"no archive", "BadZipFile"),
        (archive(a=npy(np.array([None], dtype=object))), "a.npy holds pickled objects"),
    ],
)
def test_what_is_damaged_is_a_value_error(content, message):
    with pytest.raises(ValueError, match=message):
        read_npz(content)


def test_a_header_that_asks_for_more_than_there_is():
    content = io.BytesIO()
    about = {"descr": "<f8", "fortran_order": False, "shape": (1 << 50,)}
    np.lib.format.write_array_header_1_0(content, about)
    with pytest.raises(ValueError, match="not as large as its shape"):
        read_npz(archive(a=content.getvalue() + bytes(64)))
