"""The restricted pickle: what a server may send is read, whatever else does not run."""

from __future__ import annotations

import base64
import io
import os
import pickle
import sys
import types
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from sim_bridge.errors import OperationFailed
from sim_bridge.files.safe_pickle import Record, dumps, loads

ADMIT = frozenset({("lerobot.async_inference.helpers", "TimedAction")})

# pickle.dumps of [TimedAction(1.0 + i, 7 + i, row) for i, row in enumerate(tensor)] for a (2, 3)
# float32 tensor 0, 0.5, 1 ... written by torch 2.13.0, zlib and base64.
FROM_TORCH = (
    "eNrtUU9rFDEczexMZ9ddW4qC4Mkex8vQFl3tqatIewj+qz3MpYTZmbSJZJPJnymssLAeFlTmZrz5AfwYfh1vXgUP"
    "/mZHCoL4CQwkgZeXl5f3ltGn0xCtx5lPmjuCGjVVLs3tXBaEy3NqqCxoyqioqLG+GZ3yGS0fFY4r6T/6u2/9Au5d"
    "c4Bal88qf3z4vdNrBh1IK4/7TZx3V5rrTpmCpaR2XIDeDWLotOaiJI5Kqwy53AfZpNnsaBa2/IL6ZpsIlZfk3KgZ"
    "mc4dtcB6fDNAaNn7MBQ/Px/92Hn95cXtdNl7+i2EdaFRkm2DjcoopwolyCX4Bwc6AEK2CSeCOycoobLkudS9d9kQ"
    "QDevKLH8DbU6XOgoyTYAtEwZpzdwL2uz4tLpGEdZ1GooeaH7OKpreDPJ+i25s6xRsf7C8AiMu1cdONRBtgWcg3u7"
    "D8bj+3u7e+OD/Ye60y2qWoc4fuZ09BLUzjT6GzfI0xj9MQ4hBJhfYaIJQjsTv/InHiMcrjwOVv59M4L/C7ouoK3w"
    "uSmh1vIJL1xb4Yl3wK+nLOzaZPHx5Lc06+MBG7BRwrb+h/2vsMOrsNmtq0Bp+gvxUvrV"
)


class Bomb:
    """Runs ``function(*arguments)`` when unpickled by an ordinary unpickler."""

    def __init__(self, function, *arguments):
        self.recipe = function, arguments

    def __reduce__(self):
        return self.recipe


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize(
    "bomb",
    [
        lambda path: Bomb(os.system, f"touch {path}"),
        lambda path: Bomb(eval, f"open({str(path)!r}, 'w').close()"),
        lambda path: Bomb(exec, f"open({str(path)!r}, 'w').close()"),
        lambda path: Bomb(getattr, "", "format"),
        lambda path: Bomb(__import__, "os"),
        lambda path: {"deep": [1, (2, Bomb(os.system, f"touch {path}"))]},
    ],
)
def test_malicious_payload_is_refused_and_does_not_run(tmp_path, bomb, protocol):
    proof = tmp_path / "it-ran"
    data = pickle.dumps(bomb(proof), protocol)
    with pytest.raises(OperationFailed, match="refused"):
        loads(data, ADMIT)
    assert not proof.exists()


@pytest.mark.process
def test_the_same_payload_would_have_run(tmp_path):
    """The proof that the test above can fail."""
    proof = tmp_path / "it-ran"
    pickle.loads(pickle.dumps(Bomb(os.system, f"touch {proof}")))
    assert proof.exists()


def test_bomb_inside_an_object_array_is_refused(tmp_path):
    proof = tmp_path / "it-ran"
    array = np.array([{"action": Bomb(os.system, f"touch {proof}")}], dtype=object)
    with pytest.raises(OperationFailed, match="names .*system"):
        loads(pickle.dumps([array]))
    assert not proof.exists()


def test_bomb_inside_a_tensor_storage_is_refused(tmp_path):
    """``torch.storage._load_from_bytes`` holds pickles of its own: those are restricted too."""
    proof = tmp_path / "it-ran"
    inner = pickle.dumps(Bomb(os.system, f"touch {proof}"), 2)
    data = (
        b"\x80\x04\x8c\x0ctorch._utils\x8c\x12_rebuild_tensor_v2\x93("
        b"\x8c\x0dtorch.storage\x8c\x10_load_from_bytes\x93"
        + pickle.BINBYTES
        + len(inner).to_bytes(4, "little")
        + inner
        + b"\x85RK\x00K\x01\x85K\x01\x85\x89}tR."
    )
    with pytest.raises(OperationFailed, match="storage names posix.system"):
        loads(data)
    assert not proof.exists()


def test_npy_and_npz_tricks_have_no_way_in(tmp_path):
    proof = tmp_path / "it-ran"
    buffer = io.BytesIO()
    np.save(buffer, np.array([Bomb(os.system, f"touch {proof}")], dtype=object), allow_pickle=True)
    payload = pickle.dumps(Bomb(np.load, io.BytesIO(buffer.getvalue())))
    with pytest.raises(OperationFailed, match="refused"):
        loads(payload)
    assert not proof.exists()


@pytest.mark.parametrize(
    "opcodes",
    [
        b"cnumpy\ndtype\nN}V__setstate__\nNsN\x86b.",  # BUILD with slot state on a class
        b"cnumpy\nndarray\n}V__setstate__\nNs\x86b.",
        b"cnumpy\nndarray\n.",  # a class as the value
        b"\x80\x04]\x94h\x00a.",  # a list that contains itself
        b"cnumpy\nndarray\n)\x81.",  # an array that was never given its state
        b"",
        b"\x80\x05not a pickle",
    ],
)
def test_opcode_tricks_are_refused_and_leave_no_trace(opcodes):
    with pytest.raises(OperationFailed, match="refused"):
        loads(opcodes)
    array = np.arange(3.0)
    np.testing.assert_array_equal(loads(pickle.dumps(array)), array)


@pytest.mark.parametrize("protocol", range(3, pickle.HIGHEST_PROTOCOL + 1))
def test_numpy_values_survive(protocol):
    value: dict[str, Any] = {
        "f": np.arange(6, dtype=np.float32).reshape(2, 3),
        "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "big": np.arange(3, dtype=">i2"),
        "b": np.array([True, False]),
        "scalar": np.float32(1.5),
        "objects": np.array([{"action": np.ones(2)}, None], dtype=object),
        "plain": [1, 2.5, "three", None, (True, b"x")],
    }
    back = loads(pickle.dumps(value, protocol))
    for key in ("f", "fortran", "big", "b"):
        np.testing.assert_array_equal(back[key], value[key])
        assert back[key].dtype == value[key].dtype
    assert back["scalar"] == 1.5 and back["plain"] == value["plain"]
    np.testing.assert_array_equal(back["objects"][0]["action"], np.ones(2))


def test_structured_and_oversized_arrays_are_refused():
    with pytest.raises(OperationFailed, match="dtype"):
        loads(pickle.dumps(np.zeros(2, dtype=[("a", "f4")])))
    huge = pickle.dumps(np.zeros(4)).replace(b"K\x04\x85", b"J\xff\xff\xff\x7f\x85")
    with pytest.raises(OperationFailed, match="shape"):
        loads(huge)


def check_timed_actions(records) -> None:
    assert [r.name for r in records] == ["TimedAction"] * 2
    assert [r.fields["timestep"] for r in records] == [7, 8]
    np.testing.assert_array_equal(records[0].fields["action"], [0.0, 0.5, 1.0])
    np.testing.assert_array_equal(records[1].fields["action"], [1.5, 2.0, 2.5])


def test_torch_tensors_are_read_without_torch():
    data = zlib.decompress(base64.b64decode(FROM_TORCH))
    loaded_before = "torch" in sys.modules
    check_timed_actions(loads(data, ADMIT))
    assert ("torch" in sys.modules) == loaded_before
    with pytest.raises(OperationFailed, match="names lerobot.async_inference.helpers.TimedAction"):
        loads(data)


def test_a_tensor_that_reaches_outside_its_storage_is_refused():
    data = zlib.decompress(base64.b64decode(FROM_TORCH))
    outside = data.replace(b"K\x00K\x03\x85", b"K\x05K\x03\x85")
    assert outside != data
    with pytest.raises(OperationFailed, match="outside its storage"):
        loads(outside, ADMIT)


@pytest.mark.parametrize(
    "name", ["float64", "float16", "bfloat16", "int64", "int32", "uint8", "bool"]
)
def test_torch_dtypes_and_views(name):
    torch = pytest.importorskip("torch")
    tensor = torch.arange(12).reshape(3, 4).to(getattr(torch, name))
    for view in (tensor, tensor.T, tensor[1:, ::2], tensor[0, 0]):
        back = loads(pickle.dumps(view))
        np.testing.assert_array_equal(back, view.to(torch.float64).numpy())


def test_what_is_written_is_read_by_an_ordinary_unpickler(monkeypatch):
    @dataclass
    class Thing:
        name: str
        values: Any

    module: Any = types.ModuleType("only_at_the_server")
    module.Thing = Thing
    monkeypatch.setitem(sys.modules, "only_at_the_server", module)
    image = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    values = {"image": image, "n": [1, -(2**40), 0, 2.5, None, True, (False, "ä")]}
    data = dumps(Record("only_at_the_server", "Thing", {"name": "x", "values": values}))
    thing = pickle.loads(data)
    assert isinstance(thing, Thing) and thing.name == "x"
    assert thing.values["n"] == values["n"]
    np.testing.assert_array_equal(thing.values["image"], image)
    assert thing.values["image"].flags.writeable
    back = loads(data, frozenset({("only_at_the_server", "Thing")}))
    np.testing.assert_array_equal(back.fields["values"]["image"], image)


def test_what_cannot_be_written_is_named():
    with pytest.raises(TypeError, match="object cannot be sent"):
        dumps({"a": object()})
    with pytest.raises(TypeError, match="arrays of object"):
        dumps(np.array([None], dtype=object))
