"""Trajectory files of all kinds by one address."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

from sim_bridge.errors import InvalidRequest, NotFound
from sim_bridge.trajectories.importers.episode import to_trajectory
from sim_bridge.trajectories.importers.options import ImportOptions, parse_address
from sim_bridge.trajectories.trajectory import SUFFIX, Trajectory, load_trajectory

# Asked in this order: an ALOHA file could pass for a robomimic one.
FOREIGN = ("roboverse", "lerobot", "aloha", "robomimic")


def open_trajectory(address: str) -> Trajectory:
    """``PATH`` or ``PATH?option=value&...`` (see ``ImportOptions``): ours, or any imported format.

    Raises NotFound and InvalidRequest.
    """
    path, options = parse_address(address)
    return read_trajectory(Path(path).expanduser(), options)


def read_trajectory(path: Path, options: ImportOptions) -> Trajectory:
    """The format is told from the content. NotFound for a missing path or package."""
    if path.suffix == SUFFIX:
        if options != ImportOptions():
            raise InvalidRequest(f"{path} needs no import options: it says everything itself")
        return load_trajectory(path)
    if not path.exists():
        raise NotFound(f"no trajectory {str(path)!r}")
    try:
        for name in FOREIGN:
            importer = importlib.import_module(f"sim_bridge.trajectories.importers.{name}")
            if importer.recognises(path):
                return to_trajectory(importer.read(path, options), options)
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        raise NotFound(
            f"reading {path} needs the Python package {package!r}: tools/setup --tests brings it, "
            f"elsewhere {sys.executable} -m pip install {package}"
        ) from error
    raise InvalidRequest(
        f"{path} has an unknown format; valid: {SUFFIX}, RoboVerse v2 (.pkl, .pkl.gz), "
        "a LeRobot dataset folder (v2.1, v3.0), ALOHA or robomimic HDF5"
    )
