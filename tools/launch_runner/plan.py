"""What a launch file comes to: declared arguments and commands to run."""

from __future__ import annotations

from dataclasses import dataclass


class LaunchError(Exception):
    """The launch file or its arguments are wrong; the message names file and element."""


@dataclass(frozen=True)
class Argument:
    """A declared argument; ``default`` is its unresolved text, None if it must be given."""

    name: str
    default: str | None
    description: str
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Process:
    """One command. ``environment`` is what the launch file sets on top of the inherited one.

    ``required``: its exit shuts everything down.
    """

    name: str
    command: tuple[str, ...]
    environment: dict[str, str]
    working_directory: str | None = None
    required: bool = False


@dataclass(frozen=True)
class Plan:
    """Arguments in order of declaration, processes in order of start."""

    arguments: tuple[Argument, ...]
    processes: tuple[Process, ...]
