"""Which ROS 2 the workspace runs on, where its parts lie, and the variables it needs."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WHEEL_DISTROS = ("jazzy", "kilted")


class SetupError(Exception):
    """Something the user has to fix; the message says what and how."""


@dataclass(frozen=True)
class Environment:
    """``sourced``: ROS 2 comes from the calling shell, not from wheels.

    Every environment has folders of its own, so changing between them rebuilds nothing.
    """

    distro: str
    sourced: bool
    root: Path = ROOT

    @property
    def suffix(self) -> str:
        if self.sourced:
            return f"-system-{self.distro}"
        return "" if self.distro == WHEEL_DISTROS[0] else f"-{self.distro}"

    @property
    def venv(self) -> Path:
        return self.root / f".venv{self.suffix}"

    @property
    def build(self) -> Path:
        return self.root / f"build{self.suffix}"

    @property
    def install(self) -> Path:
        return self.root / f"install{self.suffix}"

    @property
    def python(self) -> Path:
        return self.venv / "bin" / "python"

    def lock(self, tests: bool) -> Path:
        """The lock file of the Python packages."""
        name = "system" if self.sourced else self.distro
        return self.root / "requirements" / f"{name}{'-test' if tests else ''}.lock"

    def site_packages(self, prefix: Path) -> Path:
        """Where ``prefix`` keeps Python packages, for the interpreter of the venv."""
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        found = sorted((self.venv / "lib").glob("python3.*"))
        return prefix / "lib" / (found[-1].name if found else version) / "site-packages"

    def packages(self) -> list[Path]:
        """Install prefixes of the packages built so far."""
        if not self.install.is_dir():
            return []
        return sorted(p for p in self.install.iterdir() if (p / "share").is_dir())

    def build_variables(self, inherited: Mapping[str, str]) -> dict[str, str]:
        """The variables for building."""
        variables = dict(inherited)
        # A guard without its LD_LIBRARY_PATH would keep the wheels from finding their libraries.
        variables.pop("_ROS_WHEELS_BOOTSTRAP_COMPLETE", None)
        variables.pop("PYTHONHOME", None)
        variables["VIRTUAL_ENV"] = str(self.venv)
        _prepend(variables, "PATH", [self.venv / "bin"])
        if self.sourced:
            return variables
        for name in ("PYTHONPATH", "COLCON_PREFIX_PATH"):
            variables.pop(name, None)
        variables.update(
            ROS_DISTRO=self.distro,
            ROS_VERSION="2",
            ROS_PYTHON_VERSION="3",
            RMW_IMPLEMENTATION="rmw_fastrtps_cpp",
            AMENT_PREFIX_PATH=str(self.venv),
            CMAKE_PREFIX_PATH=str(self.venv),
            LD_LIBRARY_PATH=str(self.venv / "lib"),
        )
        return variables

    def variables(self, inherited: Mapping[str, str]) -> dict[str, str]:
        """The variables for running what is installed: a sourced ``install/setup.bash``."""
        variables = self.build_variables(inherited)
        packages = self.packages()
        _prepend(variables, "AMENT_PREFIX_PATH", packages)
        _prepend(variables, "LD_LIBRARY_PATH", [p / "lib" for p in packages])
        _prepend(variables, "PYTHONPATH", self._python_paths(packages))
        return variables

    def _python_paths(self, packages: list[Path]) -> list[Path]:
        # A symlink install leaves a link to the build folder, which leads to the sources.
        paths = [self.site_packages(p) for p in packages]
        linked = [self.build / p.name for p in packages]
        return paths + [p for p in linked if list(p.glob("*.egg-info"))]


def find_environment(variables: Mapping[str, str] = os.environ) -> Environment:
    """The sourced ROS 2, else wheels of ``ROS_DISTRO``.

    Raises SetupError for a distribution that has no wheels, and as ``check_place`` does.
    """
    check_place(ROOT)
    distro = variables.get("ROS_DISTRO", "")
    if distro and _is_sourced(variables):
        return Environment(distro, sourced=True)
    distro = distro or WHEEL_DISTROS[0]
    if distro not in WHEEL_DISTROS:
        raise SetupError(
            f"ROS_DISTRO is {distro!r}, it is not sourced and has no wheels; "
            f"source it, or choose one of: {', '.join(WHEEL_DISTROS)}"
        )
    return Environment(distro, sourced=False)


def check_place(root: Path) -> None:
    """SetupError for a path with a space: the first line of an installed program names its
    Python, and cannot hold one."""
    if any(character.isspace() for character in str(root)):
        raise SetupError(f"the workspace lies in {str(root)!r}; valid: a path without spaces")


def _is_sourced(variables: Mapping[str, str]) -> bool:
    prefixes = [Path(p) for p in variables.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if p]
    if any((p / "pyvenv.cfg").exists() for p in prefixes):
        return False  # a venv with the wheels, activated in this shell
    return bool(prefixes) and importlib.util.find_spec("rclpy") is not None


def _prepend(variables: dict[str, str], name: str, entries: list[Path]) -> None:
    new = [str(entry) for entry in entries]
    old = [p for p in variables.get(name, "").split(os.pathsep) if p and p not in new]
    if new or old:
        variables[name] = os.pathsep.join(new + old)
