"""The virtual environment: uv, the locked packages, and repairs to the ROS 2 wheels."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from .environment import Environment
from .steps import base_python, digest, run_logged, run_step

# Paths of the machine that built the wheels, in the CMake files that they export.
_STALE_NUMPY = re.compile(
    r"/opt/python/cp3\d+-cp3\d+/lib/python3\.\d+/site-packages/numpy/_core/include"
)
_STALE_PYTHON = re.compile(r"/opt/python/cp3\d+-cp3\d+/include/python3\.\d+")


def ensure_venv(environment: Environment) -> bool:
    """Create the venv, anew if the Python changed. True if it was created."""

    def create() -> None:
        for folder in (environment.venv, environment.install):
            shutil.rmtree(folder, ignore_errors=True)
        options = ["--system-site-packages"] if environment.sourced else []
        log = environment.build / "venv.log"
        run_logged([base_python(), "-m", "venv", *options, environment.venv], log)

    stamp = environment.venv / ".stamps" / "venv"
    return run_step("virtual environment", stamp, digest([base_python(), sys.version]), create)


def ensure_uv(environment: Environment) -> Path:
    """The pinned uv, in a corner of the venv that uv itself does not manage."""
    ensure_venv(environment)
    folder = environment.venv / "share" / "uv"
    lock = environment.root / "requirements" / "uv.lock"
    if not lock.exists():
        lock = lock.with_suffix(".in")

    def install() -> None:
        shutil.rmtree(folder, ignore_errors=True)
        command = [environment.python, "-m", "pip", "install", "-q", "--no-deps"]
        command += ["--disable-pip-version-check", "--target", folder, "-r", lock]
        if lock.suffix == ".lock":
            command.append("--require-hashes")
        run_logged(command, environment.build / "uv.log")

    run_step("uv", environment.venv / ".stamps" / "uv", digest(files=[lock]), install)
    return folder / "bin" / "uv"


def ensure_packages(environment: Environment, tests: bool) -> bool:
    """Install exactly what the lock says, and repair the wheels. True if something changed.

    An environment that holds the test packages too is left as it is when they are not asked for.
    """
    stamp = environment.venv / ".stamps" / "packages"
    keys = {level: digest(files=[environment.lock(level)]) for level in (False, True)}
    if not tests and stamp.exists() and stamp.read_text() == keys[True]:
        return False
    uv = ensure_uv(environment)

    def sync() -> None:
        command = [uv, "pip", "sync", "--require-hashes", "--python", environment.python]
        if sys.stderr.isatty():
            print(flush=True)
            command.append(environment.lock(tests))
            subprocess.run([str(part) for part in command], check=True)
        else:
            run_logged([*command, environment.lock(tests)], environment.build / "packages.log")
        if not environment.sourced:
            repair_cmake_exports(environment)

    what = "Python packages" if environment.sourced else f"ROS 2 {environment.distro} wheels"
    title = f"{what}{' and test packages' if tests else ''}"
    return run_step(title, stamp, keys[tests], sync)


def repair_cmake_exports(environment: Environment) -> int:
    """Replace the wheels' stale include paths by this machine's; return the files changed."""
    code = (
        "import json, numpy, sysconfig; "
        "print(json.dumps([sysconfig.get_paths()['include'], numpy.get_include()]))"
    )
    variables = {**os.environ, "_ROS_WHEELS_BOOTSTRAP_COMPLETE": "1"}
    answer = subprocess.run(
        [str(environment.python), "-c", code],
        check=True,
        capture_output=True,
        text=True,
        env=variables,
    )
    python_include, numpy_include = json.loads(answer.stdout)
    changed = 0
    for file in (environment.venv / "share").rglob("*.cmake"):
        text = file.read_text(errors="surrogateescape")
        fixed = repair_cmake(text, python_include, numpy_include)
        if fixed != text:
            # uv hard-links from its cache: write a new file instead of changing the shared one
            file.unlink()
            file.write_text(fixed, errors="surrogateescape")
            changed += 1
    return changed


def repair_cmake(text: str, python_include: str, numpy_include: str) -> str:
    """``text`` with the include paths of this machine."""
    text = _STALE_NUMPY.sub(lambda _: numpy_include, text)
    return _STALE_PYTHON.sub(lambda _: python_include, text)
