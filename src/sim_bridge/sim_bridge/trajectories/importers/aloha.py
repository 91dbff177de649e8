"""ALOHA / ACT episodes: ``action (N, 14)`` and ``observations/qpos (N, 14)`` in HDF5.

The order is fixed by convention: left then right arm, each six joints [rad] and a gripper. As
gripper both 0 (closed) to 1 (open) are recorded; in simulation the two fingers of one gripper
are slides between 0.01844 and 0.05800 m, the right one mirrored (act/constants.py).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sim_bridge.errors import InvalidRequest
from sim_bridge.trajectories.importers.episode import RawEpisode
from sim_bridge.trajectories.importers.hdf5 import has_key
from sim_bridge.trajectories.importers.options import ImportOptions

PERIOD_S = 0.02
_JOINTS = ("waist", "shoulder", "elbow", "forearm_roll", "wrist_angle", "wrist_rotate")
_ARMS = ("vx300s_left", "vx300s_right")
_WIDTH = 7
_FINGER_CLOSED_M, _FINGER_OPEN_M = 0.01844, 0.05800
ACTION_NAMES = tuple(f"{arm}/{name}" for arm in _ARMS for name in (*_JOINTS, "gripper"))
JOINT_NAMES = tuple(
    f"{arm}/{name}" for arm in _ARMS for name in (*_JOINTS, "left_finger", "right_finger")
)


def recognises(path: Path) -> bool:
    return has_key(path, "observations/qpos")


def read(path: Path, options: ImportOptions) -> RawEpisode:
    """InvalidRequest for arrays of another width; a file is one episode."""
    import h5py

    if options.episode:
        raise InvalidRequest(f"{path}: no episode {options.episode}; valid: 0")
    with h5py.File(path, "r") as file:
        actions = np.asarray(file["action"], dtype=float)
        qpos = np.asarray(file["observations/qpos"], dtype=float)
        qvel = np.asarray(file["observations/qvel"] if "observations/qvel" in file else 0 * qpos)
        simulated = bool(file.attrs.get("sim", False))
    for name, array in (("action", actions), ("observations/qpos", qpos)):
        if array.ndim != 2 or array.shape[1] != 2 * _WIDTH:
            valid = f"(N, {2 * _WIDTH})"
            raise InvalidRequest(f"{path}: {name} has shape {array.shape}; valid: {valid}")
    return RawEpisode(
        path=path,
        task=path.stem,
        source="ALOHA, simulated" if simulated else "ALOHA",
        actions=actions,
        action_names=options.action_names or ACTION_NAMES,
        period_s=PERIOD_S,
        robot_entities=_ARMS,
        joint_names=JOINT_NAMES,
        joint_positions=_fingers(qpos, _FINGER_CLOSED_M),
        joint_velocities=_fingers(qvel, 0.0),
    )


def _fingers(arms: np.ndarray, closed: float) -> np.ndarray:
    """``(N, 14)`` with normalised grippers to ``(N, 16)`` with two fingers each."""
    out = []
    for first in (0, _WIDTH):
        finger = arms[:, first + 6] * (_FINGER_OPEN_M - _FINGER_CLOSED_M) + closed
        out += [arms[:, first : first + 6], finger[:, None], -finger[:, None]]
    return np.hstack(out)
