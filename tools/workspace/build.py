"""colcon build of the workspace, when something changed that it would copy or compile."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from .environment import Environment, SetupError
from .steps import digest, run_logged, run_step
from .wheels import packages_key


def build_inputs(environment: Environment) -> list[Path]:
    """All that is compiled or installed; a Python module is linked, so its text does not count."""
    files: list[Path] = []
    for top in ("src", "underlay"):
        for folder, folders, names in os.walk(environment.root / top):
            skipped = ("__pycache__", ".pytest_cache", ".ruff_cache", "test")
            folders[:] = [f for f in folders if f not in skipped and not f.endswith(".egg-info")]
            files += [Path(folder, name) for name in names if _is_input(name)]
    files += (environment.root / "tools" / "cmake").glob("*.cmake")
    return [*files, environment.root / "colcon.meta"]


def _is_input(name: str) -> bool:
    return name == "setup.py" or not name.endswith((".py", ".pyc", ".md"))


def build_command(environment: Environment) -> list[str | Path]:
    """The colcon call; run from the workspace root."""
    root = environment.root
    command: list[str | Path] = [environment.python, "-m", "colcon"]
    command += ["--log-base", environment.build / "log", "build", "--symlink-install"]
    command += ["--build-base", environment.build, "--install-base", environment.install]
    command += ["--metas", root / "colcon.meta", "--event-handlers", "console_direct+"]
    command += ["--base-paths", root / "src"]
    if environment.sourced:
        return [*command, "--cmake-args", f"-DPython3_EXECUTABLE={environment.python}"]
    return [
        *command,
        *sorted(p.parent for p in (root / "underlay").glob("*/package.xml")),
        "--cmake-args",
        "-GNinja",
        "-DCMAKE_BUILD_TYPE=Release",
        "-DBUILD_TESTING=OFF",
        f"-DPython3_EXECUTABLE={environment.python}",
        f"-DCMAKE_PROJECT_INCLUDE={root / 'tools/cmake/python_only_interfaces.cmake'}",
    ]


def ensure_build(environment: Environment) -> bool:
    """Build the workspace if it changed. True if it did."""
    variables = environment.build_variables(os.environ)

    def build() -> None:
        if environment.sourced and not shutil.which("colcon", path=variables["PATH"]):
            raise SetupError("colcon is missing: apt-get install python3-colcon-common-extensions")
        forget_other_python(environment)
        run_logged(build_command(environment), environment.build / "colcon.log", variables)

    command = " ".join(map(str, build_command(environment)))
    packages = packages_key(environment, tests=False)
    key = digest([packages, command], build_inputs(environment))
    return run_step("colcon build", environment.install / ".stamp", key, build)


def changed_since_build(environment: Environment) -> Path | None:
    """The newest input, relative to the root, if it is newer than the last build."""
    stamp = environment.install / ".stamp"
    newest = max(build_inputs(environment), key=_changed_at)
    if not stamp.exists() or _changed_at(newest) <= stamp.stat().st_mtime:
        return None
    return newest.relative_to(environment.root)


def _changed_at(path: Path) -> float:
    return path.lstat().st_mtime  # of the link itself: an editor's may lead nowhere


def forget_other_python(environment: Environment) -> None:
    """Remove what was built for another interpreter: CMake would keep using that one."""
    marker = environment.build / ".python"
    if not marker.exists() or marker.read_text() != sys.version:
        for folder in (*environment.build.glob("*/"), environment.install):
            shutil.rmtree(folder, ignore_errors=True)
    marker.write_text(sys.version)
