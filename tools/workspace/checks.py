"""What has to be on the machine already, and the Debian packages that bring it."""

from __future__ import annotations

import ctypes
import ctypes.util
import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from .environment import Environment, SetupError

MIN_PYTHON = (3, 10)
NEEDED_DISK_GB = 4.0
EGL_VENDORS = ("/usr/share/glvnd/egl_vendor.d", "/etc/glvnd/egl_vendor.d")


@dataclass(frozen=True)
class Requirement:
    """``present`` probes the machine; ``packages`` are Debian's."""

    what: str
    packages: tuple[str, ...]
    present: Callable[[], bool]


def _has(program: str, *others: str) -> Callable[[], bool]:
    # sbin is not on every user's PATH
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
    return lambda: any(shutil.which(name, path=path) for name in (program, *others))


def _has_compiler() -> bool:
    return all(
        shutil.which(os.environ.get(variable, default).split()[0])
        for variable, default in (("CC", "cc"), ("CXX", "c++"))
    )


def _has_headers() -> bool:
    return (Path(sysconfig.get_paths()["include"]) / "Python.h").exists()


def _has_egl() -> bool:
    try:
        ctypes.CDLL("libEGL.so.1")
    except OSError:
        return False
    return any(list(Path(folder).glob("*.json")) for folder in EGL_VENDORS if Path(folder).is_dir())


BUILD = (
    Requirement("a C and C++ compiler", ("build-essential",), _has_compiler),
    Requirement("Python's headers (Python.h)", ("python3-dev",), _has_headers),
    Requirement(
        "Python's venv module with ensurepip",
        ("python3-venv",),
        lambda: importlib.util.find_spec("ensurepip") is not None,
    ),
)
RUN = (
    Requirement(
        "the EGL library and a driver for it, to render",
        ("libegl1", "libegl-mesa0", "libgl1-mesa-dri"),
        _has_egl,
    ),
)
TEST = (
    Requirement("an SSH server", ("openssh-server",), _has("sshd")),
    Requirement("an SSH client", ("openssh-client",), _has("ssh")),
    Requirement("a browser", ("chromium",), _has("chromium", "google-chrome")),
    Requirement("its driver", ("chromium-driver",), _has("chromedriver")),
    Requirement("ip", ("iproute2",), _has("ip")),
    Requirement(
        "OSMesa, to render without EGL",
        ("libosmesa6",),
        lambda: ctypes.util.find_library("OSMesa") is not None,
    ),
)


def check_machine(environment: Environment, needs_space: bool) -> None:
    """Raise SetupError naming all that is missing for building and running."""
    if sys.version_info < MIN_PYTHON:
        found = ".".join(map(str, sys.version_info[:3]))
        raise SetupError(
            f"Python is {found} ({sys.executable}); valid: 3.10 or newer. "
            "Choose one with PYTHON=/path/to/python3.12 (apt: python3)"
        )
    if not environment.sourced and sys.version_info >= (3, 14):
        raise SetupError(
            f"the ROS 2 wheels are for Python 3.10 to 3.13, this is {sys.version.split()[0]}; "
            "choose one with PYTHON=/path/to/python3.12"
        )
    missing = [r for r in (*BUILD, *RUN) if not r.present()]
    if missing:
        names = " ".join(p for r in missing for p in r.packages)
        lines = "\n".join(f"  {r.what}" for r in missing)
        raise SetupError(f"missing on this machine:\n{lines}\nsudo apt-get install {names}")
    free_gb = shutil.disk_usage(environment.root).free / 1e9
    if needs_space and free_gb < NEEDED_DISK_GB:
        raise SetupError(
            f"{free_gb:.1f} GB free on the disk of {environment.root}; "
            f"the environment needs {NEEDED_DISK_GB:g} GB"
        )


def install_debian_packages(log: Path) -> None:
    """Install what tests need, if that can be done without asking; otherwise say what is missing.

    Tests whose program is missing skip with the reason, so this never fails the set-up.
    """
    missing = [r for r in (*BUILD, *RUN, *TEST) if not r.present()]
    names = [p for r in missing for p in r.packages]
    if not names:
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        print(f"[setup] for all tests: sudo apt-get install {' '.join(names)}", flush=True)
        return
    print(f"[setup] apt-get install {' '.join(names)} ...", flush=True)
    variables: Mapping[str, str] = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as stream:
        for arguments in (["update"], ["install", "-y", "--no-install-recommends", *names]):
            subprocess.run(
                ["apt-get", "-q", *arguments],
                env=variables,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
            )
    left = [r.what for r in missing if not r.present()]
    if left:
        print(f"[setup] apt-get could not install: {', '.join(left)}; see {log}", flush=True)
