"""What the buttons do."""

from __future__ import annotations

from typing import Protocol


class Commands(Protocol):
    """Each call acts on the simulator, blocks until it is done, and returns one line for people.

    Raises ``BridgeError`` when the simulator refuses or does not answer. Calls may come from
    any thread, one at a time.
    """

    def stop(self) -> str:
        """Cancel whatever runs episodes."""

    def reset(self) -> str:
        """Start a new episode."""

    def mark_success(self) -> str:
        """Record that a person calls the running episode a success."""


NAMES = ("stop", "reset", "mark_success")
