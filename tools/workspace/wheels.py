"""The virtual environment: uv, the locked packages, and repairs to the ROS 2 wheels."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from .environment import Environment
from .steps import base_python, digest, run_logged, run_step

# Paths of the machine that built the wheels, in the CMake files that they export.
_STALE_NUMPY = re.compile(
    r"/opt/python/cp3\d+-cp3\d+/lib/python3\.\d+/site-packages/numpy/_core/include"
)
_STALE_PYTHON = re.compile(r"/opt/python/cp3\d+-cp3\d+/include/python3\.\d+")

_SYSTEM_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")


def ensure_uv(environment: Environment) -> Path:
    """The pinned uv, one file that all environments of this workspace share."""
    folder = environment.root / ".venv-uv"
    uv, stamp = folder / "uv", folder / ".stamp"
    lock = environment.root / "requirements" / "uv.lock"

    def install() -> None:
        folder.mkdir(exist_ok=True)
        # Moved into place when complete: another environment may be set up at the same time.
        with tempfile.TemporaryDirectory(dir=folder) as temporary:
            log = environment.build / "uv.log"
            run_logged([base_python(), "-m", "venv", temporary], log)
            command = [f"{temporary}/bin/python", "-m", "pip", "install", "-q", "--no-deps"]
            command += ["--disable-pip-version-check", "--require-hashes", "-r", lock]
            run_logged(command, log)
            os.replace(f"{temporary}/bin/uv", uv)

    if not uv.exists():
        stamp.unlink(missing_ok=True)
    run_step("uv", stamp, digest(files=[lock]), install)
    return uv


def ensure_packages(environment: Environment, tests: bool) -> bool:
    """A virtual environment with exactly what the lock says. True if something changed.

    The test packages go on top of the others; a set-up without them leaves them there.
    """
    stamp = environment.venv / ".stamp"
    keys = {level: packages_key(environment, level) for level in (False, True)}
    present = stamp.read_text() if stamp.exists() else ""
    if present == keys[True] or (not tests and present == keys[False]):
        return False
    uv = ensure_uv(environment)

    def create() -> None:
        # Never `uv pip sync` into an old environment: the ROS wheels carry metadata of inner
        # packages, which it takes for strangers and removes with their files.
        options = ["--system-site-packages"] if environment.sourced else []
        command = [uv, "venv", "-q", "--clear", *options, "--python", base_python()]
        run_logged([*command, environment.venv], environment.build / "venv.log")
        install(environment.lock(tests))
        if not environment.sourced:
            repair_cmake_exports(environment)

    def install(lock: Path) -> None:
        command = [uv, "pip", "install", "--no-deps", "--require-hashes"]
        command += ["--python", environment.python, "-r", lock]
        if _SYSTEM_CERTIFICATES.exists():
            # Behind a company's proxy only the system's own certificates hold.
            command.append("--system-certs")
        if sys.stderr.isatty():
            print(flush=True)
            subprocess.run([str(part) for part in command], check=True)
        else:
            run_logged(command, environment.build / "packages.log")

    if tests and present == keys[False]:
        return run_step(
            "test packages", stamp, keys[True], lambda: install(environment.lock(tests=True))
        )
    what = "Python packages" if environment.sourced else f"ROS 2 {environment.distro} wheels"
    title = f"{what}{' and test packages' if tests else ''}"
    return run_step(title, stamp, keys[tests], create)


def packages_key(environment: Environment, tests: bool) -> str:
    """What the virtual environment depends on."""
    # Not where the lock lies: clones may share an environment (tools/isaac).
    return digest([base_python(), sys.version, environment.lock(tests).read_text()])


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
