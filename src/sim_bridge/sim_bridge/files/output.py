"""Writing results: what the system refuses is said in one line, with the remedy."""

from __future__ import annotations

import contextlib
import errno
import tempfile
from collections.abc import Iterator
from pathlib import Path

from sim_bridge.errors import OperationFailed

_REMEDIES = {
    errno.ENOSPC: "free some space, or choose another folder",
    errno.EDQUOT: "free some space, or choose another folder",
    errno.EEXIST: "a file is where a folder should be; choose another folder",
    errno.ENOTDIR: "a file is where a folder should be; choose another folder",
}


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """What the system refuses inside, as OperationFailed with the remedy."""
    try:
        yield
    except OSError as error:
        remedy = _REMEDIES.get(error.errno or 0, "choose a folder that you may write to")
        raise OperationFailed(f"cannot write {path}: {error.strerror or error}; {remedy}") from None


def prepare_folder(folder: Path) -> None:
    """Make ``folder``; OperationFailed when it takes no files."""
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    check_folder(folder)


def new_folder(parent: Path, name: str) -> Path:
    """Make ``parent/name``, with a number where another run has that name already."""
    prepare_folder(parent)
    folder, number = parent / name, 1
    while True:
        with writing(folder), contextlib.suppress(FileExistsError):
            folder.mkdir()
            return folder
        number += 1
        folder = parent / f"{name}-{number}"


def check_folder(folder: Path) -> None:
    """OperationFailed when ``folder``, or what there is of its path, takes no files."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    with writing(folder), tempfile.TemporaryFile(dir=there) as probe:
        probe.write(b"probe")
