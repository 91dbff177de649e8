"""What Isaac Lab needs before its first import: a device, a physics engine, and no CUDA calls."""

from __future__ import annotations

import functools
import importlib.metadata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sim_bridge.errors import FeatureUnsupported, InvalidRequest, NotFound
from sim_bridge.simulators.isaac_lab.threads import use_physx_workers

ENGINES = ("physx", "newton")
# mujoco_warp sizes its buffers at start and takes time in proportion to them on a CPU.
_CONSTRAINTS = 240
_CONTACTS = 96


@dataclass(frozen=True)
class PhysicsChoice:
    """``engine`` physx, or newton (MuJoCo Warp), on ``device``: auto, cpu, cuda, cuda:N.

    ``threads`` is of PhysX on the CPU: its workers beside the thread that steps. One robot is one
    piece of work: handing it to a worker only costs, so that none is quickest.
    """

    engine: str = "physx"
    device: str = "auto"
    threads: int = 0

    def __post_init__(self) -> None:
        check_device(self.device, ("auto", "cpu", "cuda"))


def check_device(device: str, kinds: tuple[str, ...]) -> None:
    """InvalidRequest unless ``device`` is one of ``kinds`` or cuda:N."""
    kind, _, index = device.partition(":")
    if kind not in kinds or (index and not (kind == "cuda" and index.isdigit())):
        raise InvalidRequest(f"device is {device!r}; valid: {', '.join(kinds)}, cuda:N")


def prepare(choice: PhysicsChoice) -> str:
    """Make the packages importable on this machine; the device to use.

    Raises NotFound for a missing package and FeatureUnsupported for CUDA where there is none.
    """
    _require("isaaclab", "run `make isaac` and start the bridge from that environment")
    if choice.engine == "physx":
        _require("ovphysx", 'pip install "isaaclab[ovphysx]==3.0.0", or choose physics newton')
    import warp

    warp.config.log_level = warp.LOG_WARNING
    warp.init()
    has_cuda = warp.is_cuda_available()
    if choice.device.startswith("cuda") and not has_cuda:
        raise FeatureUnsupported(
            f"device {choice.device!r} was asked for, and this machine has no CUDA device; "
            "choose device cpu, or check the driver with nvidia-smi"
        )
    if not has_cuda:
        _allocate_pageable(warp)
    device = {"auto": "cuda:0" if has_cuda else "cpu", "cuda": "cuda:0"}.get(
        choice.device, choice.device
    )
    if choice.engine == "physx" and device == "cpu":
        use_physx_workers(choice.threads)
    return device


def physics_cfg(choice: PhysicsChoice, device: str) -> Any:
    """The ``physics`` entry of an Isaac Lab ``SimulationCfg``; call after ``prepare``."""
    if choice.engine == "physx":
        from isaaclab_ov.physics import OvPhysxCfg

        return OvPhysxCfg()
    from isaaclab_newton.physics import MJWarpSolverCfg, NewtonCfg

    return NewtonCfg(
        solver_cfg=MJWarpSolverCfg(
            njmax=_CONSTRAINTS,
            nconmax=_CONTACTS,
            integrator="implicitfast",
            cone="elliptic",
            impratio=10.0,
        ),
        num_substeps=1,
        use_cuda_graph=device.startswith("cuda"),
    )


def version_of(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _require(package: str, remedy: str) -> None:
    try:
        importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        raise NotFound(f"the Python package {package!r} is not installed: {remedy}") from None


def _allocate_pageable(warp: Any) -> None:
    """Let warp's allocators ignore ``pinned``, which needs a CUDA driver.

    ``isaaclab_ov`` asks for pinned staging buffers even when it simulates on the CPU.
    """
    for name in ("zeros", "empty", "full"):
        original = getattr(warp, name)
        if not getattr(original, "pageable", False):
            allocate = _without_pinned(original)
            allocate.pageable = True
            setattr(warp, name, allocate)


def _without_pinned(original: Callable[..., Any]) -> Any:
    @functools.wraps(original)
    def allocate(*args: Any, **kwargs: Any) -> Any:
        kwargs.pop("pinned", None)
        return original(*args, **kwargs)

    return allocate
