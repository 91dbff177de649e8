"""A ROS 2 as apt's, from the wheels' environment: ROS and colcon, none of the pip packages."""

from __future__ import annotations

import os
import re
import sys
from importlib.metadata import distributions
from pathlib import Path

from workspace.environment import Environment

PROGRAMS = ("cmake", "ctest", "ninja")


def make_prefix(environment: Environment, folder: Path) -> dict[str, str]:
    """Fill ``folder`` with links; the variables of a shell that has sourced it."""
    wheels = environment.site_packages(environment.venv)
    packages = folder / wheels.relative_to(environment.venv)
    packages.mkdir(parents=True)
    left_out = _locked(environment, wheels) | {"__pycache__"}
    _link(packages, (p for p in wheels.iterdir() if _is_ros(p, left_out)))
    libraries = environment.venv / "lib"
    _link(folder / "lib", (p for p in libraries.iterdir() if not p.name.startswith("python")))
    (folder / "bin").mkdir()
    _link(folder / "bin", (environment.venv / "bin" / name for name in PROGRAMS))
    _link(folder, (environment.venv / name for name in ("share", "include")))
    underlay = environment.install / "tf2_msgs"  # which apt has and the wheels do not
    inner = [str(p) for p in wheels.glob("ros_*.libs")]
    prefixes = os.pathsep.join(map(str, (underlay, folder)))
    python = [str(environment.site_packages(underlay)), str(packages)]
    return {
        **_bare(),
        "PATH": os.pathsep.join([f"{folder}/bin", _base_folder(), "/usr/bin", "/bin"]),
        "ROS_DISTRO": environment.distro,
        "ROS_VERSION": "2",
        "ROS_PYTHON_VERSION": "3",
        "RMW_IMPLEMENTATION": "rmw_fastrtps_cpp",
        "AMENT_PREFIX_PATH": prefixes,
        "CMAKE_PREFIX_PATH": prefixes,
        "PYTHONPATH": os.pathsep.join(python),
        "LD_LIBRARY_PATH": os.pathsep.join([f"{underlay}/lib", f"{folder}/lib", *inner]),
    }


def _bare() -> dict[str, str]:
    """What reaches the package index, and no more of this shell."""
    wanted = re.compile(r"HOME|LANG|PIP_.*|SSL_.*|.*_proxy|.*_PROXY|REQUESTS_.*")
    return {name: value for name, value in os.environ.items() if wanted.fullmatch(name)}


def _base_folder() -> str:
    return str(Path(os.path.realpath(getattr(sys, "_base_executable", sys.executable))).parent)


def _locked(environment: Environment, wheels: Path) -> set[str]:
    """Top-level names of all packages that the lock for a sourced ROS names."""
    text = (environment.root / "requirements/system.lock").read_text()
    names = {_plain(name) for name in re.findall(r"^([\w.-]+)==", text, re.MULTILINE)}
    found = (d for d in distributions(path=[str(wheels)]) if _plain(d.metadata["Name"]) in names)
    return {file.parts[0] for d in found for file in d.files or ()}


def _is_ros(path: Path, left_out: set[str]) -> bool:
    return path.name not in left_out and path.suffix != ".pth"


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _link(folder: Path, targets) -> None:
    for target in targets:
        (folder / target.name).symlink_to(target)
