"""The newest value, for any number of waiting readers in one event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Latest(Generic[T]):
    """Readers wait for a value newer than the one they had; a slow one skips those between."""

    value: T  # once there is a version

    def __init__(self) -> None:
        self.version = 0
        self._changed = asyncio.Event()

    def publish(self, value: T) -> None:
        self.version += 1
        self.value = value
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def newer_than(self, version: int) -> tuple[int, T]:
        """The newest value and its version, once that is greater than ``version``."""
        while self.version <= version:
            await self._changed.wait()
        return self.version, self.value


class Watchers:
    """How many readers there are, so that nothing is made that nobody looks at.

    ``on_change`` is told when the first one appears and when the last one is gone.
    """

    def __init__(self, on_change: Callable[[bool], None] = lambda some: None) -> None:
        self._on_change = on_change
        self._count = 0
        self._some = asyncio.Event()

    async def wait(self) -> None:
        """Until there is at least one."""
        await self._some.wait()

    def __enter__(self) -> Watchers:
        self._count += 1
        if self._count == 1:
            self._some.set()
            self._on_change(True)
        return self

    def __exit__(self, *_) -> None:
        self._count -= 1
        if self._count == 0:
            self._some.clear()
            self._on_change(False)
