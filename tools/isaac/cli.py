"""Command lines of tools/setup_isaac and tools/run_isaac."""

from __future__ import annotations

import argparse
import fcntl
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from workspace.build import changed_since_build, ensure_build
from workspace.environment import SetupError
from workspace.wheels import ensure_packages, ensure_uv

from .environment import IsaacEnvironment, find_python

NEEDED_DISK_GB = 10.0
_NOTICE = """\
[setup] The Isaac environment takes 8.2 GB in {venv}: Isaac Lab 3.0, PyTorch with its CUDA
[setup] libraries, PhysX, Newton, ROS 2 Jazzy. An interrupted download goes on where it stopped.
[setup] Licences: Isaac Lab is BSD-3-Clause, Newton Apache-2.0. ovphysx, ovstage, omniverseclient
[setup] and the nvidia-* packages come under NVIDIA's own terms (in each package's dist-info); by
[setup] installing them you take them under those terms. Nothing here accepts a licence for you:
[setup] Isaac Sim, which this does not install, asks you itself (OMNI_KIT_ACCEPT_EULA)."""


def setup(arguments: list[str] | None = None) -> int:
    """Entry point of tools/setup_isaac."""
    parser = argparse.ArgumentParser(
        description="Make .venv-isaac (or $TWINSTEP_ISAAC_VENV) and build the workspace for it. "
        "PYTHON312 names the interpreter."
    )
    parser.add_argument("--lock", action="store_true", help="resolve requirements/isaac.lock again")
    parser.add_argument("--no-build", action="store_true", help="the packages only")
    options = parser.parse_args(arguments)
    environment = IsaacEnvironment()
    start = time.monotonic()
    try:
        _use_python(find_python())
        with _alone(environment):
            changed = _prepare(environment, options.lock, not options.no_build)
    except SetupError as error:
        print(f"[setup] {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    if changed:
        print(f"[setup] Isaac environment ready in {time.monotonic() - start:.1f} s", flush=True)
    return 0


def run(arguments: list[str] | None = None) -> int:
    """Entry point of tools/run_isaac: replaces this process by the command."""
    command = sys.argv[1:] if arguments is None else arguments
    if not command or command[0] in ("-h", "--help"):
        print("usage: run_isaac COMMAND [ARGUMENT ...]\n\nRun a command in the Isaac environment.")
        return 0 if command else 2
    environment = IsaacEnvironment()
    if not environment.python.exists() or not environment.packages():
        print("[run_isaac] no Isaac environment here: make isaac", file=sys.stderr)
        return 1
    if changed := changed_since_build(environment):
        print(f"[run_isaac] {changed} is newer than the build: make isaac", file=sys.stderr)
    try:
        os.execvpe(command[0], command, environment.variables(os.environ))
    except OSError as error:
        print(f"[run_isaac] {command[0]}: {error.strerror}", file=sys.stderr)
        return 127


def _prepare(environment: IsaacEnvironment, lock: bool, build: bool) -> bool:
    if not (environment.venv / ".stamp").exists():
        print(_NOTICE.format(venv=environment.venv), flush=True)
        _check_disk(environment.venv)
    if lock:
        _compile_lock(environment)
    changed = ensure_packages(environment, tests=False)
    return ensure_build(environment) | changed if build else changed


def _compile_lock(environment: IsaacEnvironment) -> None:
    """One platform, one Python: that is all that Isaac's wheels exist for."""
    options = "--generate-hashes --no-header --no-annotate --no-emit-index-url --upgrade -q".split()
    command = [ensure_uv(environment), "pip", "compile", *options, "--python-version", "3.12"]
    command += ["--python-platform", "x86_64-manylinux_2_35"]
    command += [environment.lock(False).with_suffix(".in"), "-o", environment.lock(False)]
    if subprocess.run([str(part) for part in command]).returncode:
        raise SetupError("requirements/isaac.in cannot be resolved (see above)")


def _check_disk(venv: Path) -> None:
    folder = next(parent for parent in venv.parents if parent.is_dir())
    free_gb = shutil.disk_usage(folder).free / 1e9
    if free_gb < NEEDED_DISK_GB:
        raise SetupError(
            f"{free_gb:.1f} GB free on the disk of {folder}; the Isaac environment needs "
            f"{NEEDED_DISK_GB:g} GB. TWINSTEP_ISAAC_VENV puts it elsewhere"
        )


def _use_python(python: Path) -> None:
    """Go on in the wanted interpreter: a venv is made by, and of, the one that runs."""
    if os.path.realpath(python) != os.path.realpath(sys.executable):
        os.execv(python, [str(python), *sys.argv])


@contextmanager
def _alone(environment: IsaacEnvironment) -> Iterator[None]:
    """Hold off a second set-up of the same environment, also from another clone."""
    environment.venv.parent.mkdir(parents=True, exist_ok=True)
    environment.build.mkdir(exist_ok=True)
    with environment.venv.with_suffix(".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("[setup] waiting for another set-up to end ...", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
