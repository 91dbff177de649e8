"""Executables of ``install/`` from any shell: the environment's Python prepares itself.

Their first line names the environment's Python. A ``.pth`` file there lets a Python that was
started without ``tools/run`` run this file first; the variables then hold from the new start on
that the ROS wheels do anyway, to find their libraries.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

# Before ros_wheels_bootstrapper.pth in the alphabet, and so before that new start.
PTH = "_workspace.pth"
_LINE = (
    "import os, sys; "
    "sys.prefix in os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep) "
    "or __import__('runpy').run_path("
    "os.path.join(os.path.dirname(sys.prefix), 'tools', 'workspace', 'bare.py'), "
    "run_name='prepare')\n"
)


def ensure_hook(site_packages: Path) -> None:
    """Have the Python whose packages lie there prepare itself."""
    path = site_packages / PTH
    if not path.exists() or path.read_text() != _LINE:
        path.write_text(_LINE)


def _prepare() -> None:
    """The variables of ``tools/run``, for the environment that this Python belongs to."""
    tools = str(Path(__file__).parents[1])
    sys.path.insert(0, tools)
    try:
        from workspace.environment import WHEEL_DISTROS, Environment
    finally:
        sys.path.remove(tools)
    venv = Path(sys.prefix)
    distro = venv.name.removeprefix(".venv").lstrip("-") or WHEEL_DISTROS[0]
    variables = Environment(distro, sourced=False, root=venv.parent).variables(os.environ)
    os.environ.clear()
    os.environ.update(variables)


if __name__ == "prepare":
    _prepare()
