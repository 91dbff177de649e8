"""States that a recording has yet to draw: small in memory, on disk beyond that, and bounded."""

from __future__ import annotations

import logging
import pickle
import tempfile
from collections import deque
from pathlib import Path
from typing import Any, BinaryIO

_log = logging.getLogger(__name__)
# A state is about 2 kB: 20 MB in memory, 2 GB on disk.
IN_MEMORY, CAPACITY = 10_000, 1_000_000


class Backlog:
    """First in, first out. ``in_memory`` items are kept there; later ones wait in a nameless file
    in ``directory``, which goes with this process; ``capacity`` bounds both together.
    """

    def __init__(
        self, directory: Path, in_memory: int = IN_MEMORY, capacity: int = CAPACITY
    ) -> None:
        self._directory = directory
        self._in_memory = in_memory
        self._capacity = capacity
        self._first: deque[Any] = deque()
        self._file: BinaryIO | None = None
        self._on_disk = 0
        self._read_at = 0

    def __len__(self) -> int:
        return len(self._first) + self._on_disk

    def put(self, item: Any) -> bool:
        """False when there is no room: the item is lost."""
        if len(self) >= self._capacity:
            return False
        if not self._on_disk and len(self._first) < self._in_memory:
            self._first.append(item)
            return True
        try:
            self._spill(item)
        except OSError as error:
            _log.error("no room for the states of the recording: %s", error)
            return False
        return True

    def first(self) -> Any:
        """The oldest item; IndexError when there is none."""
        if not self._first and self._on_disk:
            self._fetch()
        return self._first[0]

    def take(self) -> Any:
        """The oldest item, which is then gone; IndexError when there is none."""
        item = self.first()
        self._first.popleft()
        return item

    def close(self) -> None:
        self._first.clear()
        self._on_disk = self._read_at = 0
        if self._file is not None:
            self._file.close()
            self._file = None

    def _spill(self, item: Any) -> None:
        if self._file is None:
            self._file = tempfile.TemporaryFile(dir=self._directory)
            _log.info("states wait on disk: the recording is %d pictures behind", len(self))
        end = self._file.seek(0, 2)
        try:
            pickle.dump(item, self._file)
            self._file.flush()
        except OSError:
            self._file.truncate(end)
            raise
        self._on_disk += 1

    def _fetch(self) -> None:
        """As many as memory holds; only what this process wrote is unpickled."""
        file = self._file
        assert file is not None
        file.seek(self._read_at)
        for _ in range(min(self._on_disk, self._in_memory)):
            self._first.append(pickle.load(file))
            self._on_disk -= 1
        self._read_at = file.tell()
        if not self._on_disk:
            file.truncate(0)
            self._read_at = 0
