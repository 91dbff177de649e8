"""Folders that take no files, and what is said about them."""

from pathlib import Path

import pytest

from sim_bridge.errors import OperationFailed
from sim_bridge.files.output import check_folder, prepare_folder, writing


def test_a_folder_is_made_and_left_empty(tmp_path):
    prepare_folder(tmp_path / "a" / "b")
    assert not list((tmp_path / "a" / "b").iterdir())


def test_a_file_in_the_folder_s_place_is_named_with_the_remedy(tmp_path):
    (tmp_path / "file").write_text("here first")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(OperationFailed, match=r"cannot write .*file.*choose another folder"):
            prepare_folder(folder)
        with pytest.raises(OperationFailed, match="choose another folder"):
            check_folder(folder / "new")


def test_a_check_makes_nothing(tmp_path):
    check_folder(tmp_path / "a" / "b")
    assert not list(tmp_path.iterdir())


def test_a_folder_that_takes_no_files_is_refused():
    with pytest.raises(OperationFailed, match="cannot write /proc/self: .*that you may write to"):
        prepare_folder(Path("/proc/self"))


def test_a_full_disk_is_named_with_the_remedy(tmp_path):
    with pytest.raises(OperationFailed, match="No space left on device; free some space"):
        with writing(tmp_path / "file"), open("/dev/full", "w") as full:
            full.write("more than fits")
