"""Steps that run once per content of their inputs, with one progress line each."""

from __future__ import annotations

import contextlib
import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from .environment import SetupError


def digest(texts: Iterable[str] = (), files: Iterable[Path] = ()) -> str:
    """Hash of some texts and of the names and contents of some files."""
    total = hashlib.sha256()
    for text in texts:
        total.update(text.encode() + b"\0")
    for file in sorted(files):
        total.update(str(file).encode() + b"\0" + hashlib.sha256(file.read_bytes()).digest())
    return total.hexdigest()


def run_step(title: str, stamp: Path, key: str, action: Callable[[], None]) -> bool:
    """Run ``action`` unless ``stamp`` holds ``key``; an interrupted step runs again next time."""
    if stamp.exists() and stamp.read_text() == key:
        with contextlib.suppress(OSError):  # a shared environment may be somebody else's
            stamp.touch()  # as new as its inputs
        return False
    stamp.unlink(missing_ok=True)
    print(f"[setup] {title} ...", end="", flush=True)
    start = time.monotonic()
    try:
        action()
    except BaseException:
        print(" failed", flush=True)
        raise
    stamp.parent.mkdir(parents=True, exist_ok=True)
    stamp.write_text(key)
    print(f" {time.monotonic() - start:.1f} s", flush=True)
    return True


def run_logged(
    command: Sequence[str | Path], log: Path, variables: Mapping[str, str] | None = None
) -> None:
    """Run a command with its output in ``log``; raise SetupError with the end of it on failure."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as stream:
        done = subprocess.run(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            env=None if variables is None else dict(variables),
        )
    if done.returncode:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-40:])
        raise SetupError(f"{' '.join(map(str, command))}\n{tail}\nfailed; all output: {log}")


def base_python() -> str:
    """The interpreter outside any venv, so that an active venv is not built from itself."""
    return os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable)
