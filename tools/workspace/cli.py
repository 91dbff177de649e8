"""Command line of tools/setup and tools/run."""

from __future__ import annotations

import argparse
import fcntl
import os
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from .bare import ensure_hook
from .build import changed_since_build, ensure_build
from .checks import check_machine, install_debian_packages
from .environment import Environment, SetupError, find_environment
from .wheels import ensure_packages

if TYPE_CHECKING:
    from collections.abc import Iterator

_DESCRIPTION = """\
Make the workspace ready to run: a virtual environment with the locked packages, and
colcon build. With ROS 2 sourced it is used; otherwise ROS 2 comes from wheels, of the
distribution in ROS_DISTRO (jazzy by default, or kilted). PYTHON chooses the interpreter.
What is up to date is left alone; an interrupted set-up goes on where it stopped."""


def setup(arguments: list[str] | None = None) -> int:
    """Entry point of tools/setup."""
    parser = argparse.ArgumentParser(
        description=_DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tests", action="store_true", help="with the packages for the tests")
    parser.add_argument(
        "--apt", action="store_true", help="as root, also install the Debian packages of the tests"
    )
    options = parser.parse_args(arguments)
    start = time.monotonic()
    try:
        environment = find_environment()
        with _alone(environment):
            if options.apt:
                install_debian_packages(environment.build / "apt.log")
            check_machine(environment, needs_space=not environment.venv.exists())
            changed = ensure_packages(environment, options.tests)
            changed |= ensure_build(environment)
            if not environment.sourced:
                ensure_hook(environment.site_packages(environment.venv))
    except SetupError as error:
        print(f"[setup] {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    if changed:
        print(f"[setup] ready in {time.monotonic() - start:.1f} s", flush=True)
    return 0


@contextmanager
def _alone(environment: Environment) -> Iterator[None]:
    """Hold off a second set-up of the same environment until this one is done."""
    environment.build.mkdir(exist_ok=True)
    with (environment.build / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("[setup] waiting for another set-up to end ...", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def run(arguments: list[str] | None = None) -> int:
    """Entry point of tools/run: replaces this process by the command."""
    parser = argparse.ArgumentParser(
        description="Run a command in the workspace's environment.",
        usage="%(prog)s COMMAND [ARGUMENT ...]",
    )
    parser.add_argument("command", nargs=argparse.REMAINDER, help="for example: python, pytest")
    command = parser.parse_args(arguments).command
    if not command:
        parser.error("no command")
    try:
        environment = find_environment()
    except SetupError as error:
        print(f"[run] {error}", file=sys.stderr)
        return 1
    if not environment.packages():
        print("[run] the workspace is not built: make setup", file=sys.stderr)
        return 1
    if changed := changed_since_build(environment):
        print(f"[run] {changed} is newer than the build: make setup", file=sys.stderr)
    try:
        os.execvpe(command[0], command, environment.variables(os.environ))
    except OSError as error:
        print(f"[run] {command[0]}: {error.strerror}", file=sys.stderr)
        return 127
