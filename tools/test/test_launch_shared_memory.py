"""What counts as Fast DDS litter."""

from __future__ import annotations

import fcntl
import mmap
from pathlib import Path

from launch_runner.shared_memory import present, remove_litter


def _make(folder: Path, name: str) -> Path:
    path = folder / name
    path.write_bytes(bytes(4096))
    return path


def test_only_new_files_of_fast_dds_that_nobody_uses_are_removed(tmp_path):
    old = _make(tmp_path, "fastrtps_old")
    before = present(tmp_path)
    foreign = _make(tmp_path, "sem.postgres")
    mapped = _make(tmp_path, "fastrtps_mapped")
    locked = _make(tmp_path, "fastrtps_port7411")
    lock = _make(tmp_path, "fastrtps_port7411_el")
    mutex = _make(tmp_path, "sem.fastrtps_port7411_mutex")
    dead = [_make(tmp_path, name) for name in ("fastrtps_1f", "fastrtps_1f_el", "fastdds_2")]
    with mapped.open("r+b") as file, mmap.mmap(file.fileno(), 4096), lock.open() as held:
        fcntl.flock(held, fcntl.LOCK_SH)
        assert remove_litter(before, tmp_path) == sorted(dead)
    assert all(p.exists() for p in (old, foreign, mapped, locked, lock, mutex))
    assert remove_litter(before, tmp_path) == sorted([mapped, locked, lock, mutex])
    assert set(tmp_path.iterdir()) == {old, foreign}
