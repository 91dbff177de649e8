"""The virtual environments, the builds, and whether they draw and import."""

from __future__ import annotations

import json
import os
import subprocess

from isaac.environment import IsaacEnvironment
from workspace.environment import Environment, SetupError, find_environment

from .finding import Finding, absent, found, missing

_VERSIONS = """
import importlib.metadata as m, json, sys
def version(name):
    try: return m.version(name)
    except m.PackageNotFoundError: return None
print(json.dumps({n: version(n) for n in sys.argv[1:]}))
"""
_DRAW = """
import mujoco, sys
context = mujoco.GLContext(64, 64)
context.make_current()
from OpenGL import GL
print((GL.glGetString(GL.GL_RENDERER) or b"?").decode())
sys.stdout.flush()
import os; os._exit(0)
"""
_WHEELS = ("ros-jazzy-rclpy", "ros-kilted-rclpy", "numpy", "mujoco", "gymnasium")
_ISAAC = ("isaaclab", "ovphysx", "newton", "torch", "warp-lang", "ros-jazzy-rclpy", "isaacsim")


def normal() -> list[Finding]:
    """The environment of `make setup`: packages, workspace, drawing."""
    try:
        environment = find_environment()
    except SetupError as error:
        return [missing("environment", "none", str(error))]
    if not environment.python.exists():
        return [missing("environment", f"no {environment.venv}", "make setup")]
    findings = [_packages("environment", environment, _WHEELS)]
    findings.append(_workspace(environment, "make setup"))
    return [*findings, draws(environment)]


def isaac() -> list[Finding]:
    """The environment of `make isaac`."""
    environment = IsaacEnvironment()
    if not environment.python.exists():
        remedy = "make isaac (8.2 GB), or TWINSTEP_ISAAC_VENV=... if another clone has one"
        return [absent("Isaac environment", f"no {environment.venv}", remedy)]
    return [
        _packages("Isaac environment", environment, _ISAAC),
        _workspace(environment, "make isaac", "Isaac workspace"),
    ]


def draws(environment: Environment) -> Finding:
    """A headless OpenGL context through MuJoCo, as the mirror makes one."""
    backend = os.environ.get("MUJOCO_GL") or "egl"
    done = _python(environment, _DRAW, MUJOCO_GL=backend)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["?"])[-1][:120]
        remedy = (
            "apt-get install libegl1 libegl-mesa0 libgl1-mesa-dri, "
            "or libosmesa6 and MUJOCO_GL=osmesa"
        )
        return missing("OpenGL", f"{backend}: {reason}", remedy)
    renderer = done.stdout.strip()
    software = " (software: lower the mirror's quality for speed)" if "llvmpipe" in renderer else ""
    return found("OpenGL", f"{backend}: {renderer}{software}")


def _packages(what: str, environment: Environment, names: tuple[str, ...]) -> Finding:
    done = _python(environment, _VERSIONS, *names)
    if done.returncode:
        return missing(
            what, f"{environment.python} does not run", f"remove {environment.venv}, set up again"
        )
    versions = {name: v for name, v in json.loads(done.stdout).items() if v}
    listed = ", ".join(f"{name} {version}" for name, version in versions.items())
    return found(what, f"{environment.venv}: {listed}")


def _workspace(environment: Environment, command: str, what: str = "workspace") -> Finding:
    packages = [path.name for path in environment.packages()]
    if "sim_interfaces" not in packages:
        return missing(what, f"nothing built in {environment.install}", command)
    return found(what, ", ".join(packages))


def _python(environment: Environment, code: str, *arguments: str, **more: str):
    variables = {**environment.variables(os.environ), **more}
    return subprocess.run(
        [str(environment.python), "-c", code, *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        env=variables,
    )
