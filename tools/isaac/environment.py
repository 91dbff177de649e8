"""Where the Isaac environment lies, and the Python it is made of."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from workspace.environment import Environment, SetupError

PYTHON = (3, 12)


@dataclass(frozen=True)
class IsaacEnvironment(Environment):
    """Beside the normal environment, with folders of its own. ``TWINSTEP_ISAAC_VENV`` moves the
    virtual environment elsewhere, so that several clones share one; each builds its workspace."""

    distro: str = "jazzy"
    sourced: bool = False

    @property
    def suffix(self) -> str:
        return "-isaac"

    @property
    def venv(self) -> Path:
        chosen = os.environ.get("TWINSTEP_ISAAC_VENV", "")
        return Path(chosen).expanduser().absolute() if chosen else self.root / ".venv-isaac"

    def lock(self, tests: bool) -> Path:
        return self.root / "requirements" / "isaac.lock"


def find_python(variables: Mapping[str, str] = os.environ) -> Path:
    """A Python 3.12: ``$PYTHON312``, the running one, ``python3.12`` on PATH, pyenv's.

    SetupError lists what was looked at.
    """
    looked_at = []
    for candidate in _candidates(variables):
        if _is_wanted(candidate):
            return Path(candidate)
        looked_at.append(str(candidate))
    raise SetupError(
        f"Isaac Lab needs Python {PYTHON[0]}.{PYTHON[1]} and none was found "
        f"(looked at: {', '.join(looked_at) or 'nothing'}). Install it (Ubuntu 24.04: apt-get "
        "install python3.12-venv python3.12-dev; elsewhere: pyenv install 3.12, or uv python "
        "install 3.12), or name it with PYTHON312=/path/to/python3.12"
    )


def _candidates(variables: Mapping[str, str]) -> Iterator[str | Path]:
    if variables.get("PYTHON312"):
        yield variables["PYTHON312"]
        return
    if sys.version_info[:2] == PYTHON:
        yield sys.executable
    found = shutil.which("python3.12", path=variables.get("PATH"))
    if found:
        yield found
    home = Path(variables.get("HOME", "~")).expanduser()
    pyenv = Path(variables.get("PYENV_ROOT") or home / ".pyenv") / "versions"
    yield from sorted(pyenv.glob("3.12*/bin/python"), reverse=True)
    yield from sorted((home / ".local/share/uv/python").glob("cpython-3.12*/bin/python3.12"))


def _is_wanted(candidate: str | Path) -> bool:
    """Ask the interpreter: a pyenv shim exists also where no such Python is chosen."""
    try:
        answer = subprocess.run(
            [str(candidate), "-c", "import sys, venv; print(*sys.version_info[:2])"],
            capture_output=True,
            text=True,
            timeout=30,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return answer.returncode == 0 and answer.stdout.split() == [str(n) for n in PYTHON]
