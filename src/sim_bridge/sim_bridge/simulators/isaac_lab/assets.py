"""MJCF to USD for Isaac Lab, with the converter that Isaac's own importer is built on."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from sim_bridge.errors import NotFound, OperationFailed
from sim_bridge.files.model_files import mjcf_files, sha256_of

_CONVERTER = "mujoco-usd-converter"
# Bump when the edits below change what a cached file would hold.
_REVISION = 3


def cache_folder() -> Path:
    """``$TWINSTEP_CACHE``, else the user's cache folder, for converted assets."""
    base = os.environ.get("TWINSTEP_CACHE") or os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "twinstep" / "usd"


def usd_from_mjcf(mjcf: Path) -> Path:
    """Convert once per content; the USD file. Spawn it with ``fix_root_link=True``.

    NotFound for a missing file or converter, OperationFailed for an MJCF it cannot convert.
    """
    if not mjcf.is_file():
        raise NotFound(f"no MJCF file {mjcf}")
    try:
        version = importlib.metadata.version(_CONVERTER)
    except importlib.metadata.PackageNotFoundError:
        raise NotFound(f"converting {mjcf.name} needs {_CONVERTER}: run `make isaac`") from None
    key = f"{sha256_of(mjcf_files(mjcf))} {version} {_REVISION}"
    folder = cache_folder() / hashlib.sha256(key.encode()).hexdigest()[:16]
    target = folder / f"{mjcf.stem}.usdc"
    if not target.is_file():
        _convert_into(mjcf, folder)
    return target


def _convert_into(mjcf: Path, folder: Path) -> None:
    """Convert beside ``folder`` and move there, so that an interrupted run leaves no half file."""
    from mujoco_usd_converter import Converter
    from pxr import Tf

    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".converting-"))
    try:
        try:
            asset = Converter(layer_structure=False, scene=False).convert(str(mjcf), str(scratch))
        except (ValueError, RuntimeError, Tf.ErrorException) as error:
            raise OperationFailed(f"{mjcf} cannot be converted to USD: {error}") from error
        _prepare_for_the_spawner(asset.path)
        try:
            scratch.rename(folder)
        except OSError:
            if not folder.is_dir():
                raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _prepare_for_the_spawner(usd: str) -> None:
    """Give every joint a drive (its gains come from the actuator configuration). Drop the
    converter's world joint, because ``fix_root_link`` makes the one that each engine wants, and
    the balls that it draws for MJCF sites."""
    from pxr import Usd, UsdPhysics

    stage = Usd.Stage.Open(usd)
    for prim in list(stage.Traverse()):
        if prim.IsA(UsdPhysics.RevoluteJoint):
            UsdPhysics.DriveAPI.Apply(prim, "angular").CreateTypeAttr("force")
        elif prim.IsA(UsdPhysics.PrismaticJoint):
            UsdPhysics.DriveAPI.Apply(prim, "linear").CreateTypeAttr("force")
        elif prim.IsA(UsdPhysics.FixedJoint) or _is_marker(prim):
            stage.RemovePrim(prim.GetPath())
    stage.Save()


def _is_marker(prim: Any) -> bool:
    from pxr import UsdGeom, UsdPhysics

    return (
        prim.IsA(UsdGeom.Sphere)
        and not prim.HasAPI(UsdPhysics.CollisionAPI)
        and (UsdGeom.Imageable(prim).ComputePurpose() == UsdGeom.Tokens.guide)
    )
