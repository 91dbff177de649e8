"""Fast DDS files in /dev/shm whose processes were killed before they could remove them."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

FOLDER = Path("/dev/shm")
PREFIXES = ("fastrtps_", "fastdds_", "fast_datasharing_", "sem.fastrtps_", "sem.fastdds_")


def present(folder: Path = FOLDER) -> set[Path]:
    """The Fast DDS files of this user."""
    found = set()
    for path in folder.glob("*fast*"):
        try:
            if path.name.startswith(PREFIXES) and path.stat().st_uid == os.getuid():
                found.add(path)
        except FileNotFoundError:
            pass
    return found


def mapped_files(folder: Path = FOLDER) -> set[Path]:
    """Files in ``folder`` that a living process has mapped."""
    found = set()
    for maps in Path("/proc").glob("[0-9]*/maps"):
        try:
            lines = maps.read_text(errors="replace").splitlines()
        except OSError:
            continue  # it ended, or belongs to somebody else and so cannot map our files
        for line in lines:
            path = line.partition("/")[2]
            if path.startswith(str(folder)[1:]):
                found.add(Path("/" + path))
    return found


def remove_litter(before: set[Path], folder: Path = FOLDER) -> list[Path]:
    """Remove the files that appeared since ``before`` and that no living process uses.

    Fast DDS marks a file as in use by mapping it and by a lock on the ``_el`` file beside it.
    """
    litter = present(folder) - before
    if not litter:
        return []
    in_use = mapped_files(folder)
    removed = []
    for path in sorted(litter):
        if path not in in_use and not _locked(_lock_file(path)):
            path.unlink(missing_ok=True)
            removed.append(path)
    return removed


def _lock_file(path: Path) -> Path:
    name = path.name.removeprefix("sem.").removesuffix("_mutex").removesuffix("_el")
    return path.with_name(f"{name}_el")


def _locked(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
