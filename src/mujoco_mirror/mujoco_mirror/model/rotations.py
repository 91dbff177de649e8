"""Quaternions and poses, vectorised. Wire: xyzw and [x y z qx qy qz qw]; MuJoCo: wxyz.

This is the only place of the mirror where the two orders meet.
"""

from __future__ import annotations

import numpy as np

_WXYZ = [3, 0, 1, 2]
_XYZW = [1, 2, 3, 0]


def to_wxyz(quaternions: np.ndarray) -> np.ndarray:
    """``(..., 4)`` xyzw to MuJoCo's wxyz."""
    return np.asarray(quaternions)[..., _WXYZ]


def to_xyzw(quaternions: np.ndarray) -> np.ndarray:
    """``(..., 4)`` MuJoCo's wxyz to xyzw."""
    return np.asarray(quaternions)[..., _XYZW]


def multiply(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Hamilton product of xyzw quaternions ``(..., 4)``: the rotation ``b``, then ``a``."""
    ax, ay, az, aw = np.moveaxis(np.asarray(a, dtype=float), -1, 0)
    bx, by, bz, bw = np.moveaxis(np.asarray(b, dtype=float), -1, 0)
    return np.stack(
        [
            aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx,
            aw * bz + ax * by - ay * bx + az * bw,
            aw * bw - ax * bx - ay * by - az * bz,
        ],
        axis=-1,
    )


def conjugate(q: np.ndarray) -> np.ndarray:
    """Inverse of unit xyzw quaternions ``(..., 4)``."""
    return np.asarray(q) * np.array([-1.0, -1.0, -1.0, 1.0])


def rotate(q: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Vectors ``(..., 3)`` turned by unit xyzw quaternions ``(..., 4)``."""
    axis, w = q[..., :3], q[..., 3:]
    t = 2.0 * np.cross(axis, v)
    return v + w * t + np.cross(axis, t)


def compose(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Pose ``b`` given in frame ``a``, in the frame of ``a``; ``(..., 7)``."""
    a, b = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    position = a[..., :3] + rotate(a[..., 3:], b[..., :3])
    return np.concatenate([position, multiply(a[..., 3:], b[..., 3:])], axis=-1)


def inverse(pose: np.ndarray) -> np.ndarray:
    """The frame in which ``pose (..., 7)`` was given, as seen from the pose."""
    turn = conjugate(np.asarray(pose, dtype=float)[..., 3:])
    return np.concatenate([-rotate(turn, pose[..., :3]), turn], axis=-1)


def angle_between(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Angle [rad] between unit quaternions ``(..., 4)``; exact near zero, blind to sign."""
    difference = multiply(conjugate(a), b)
    return 2.0 * np.arctan2(
        np.linalg.norm(difference[..., :3], axis=-1), np.abs(difference[..., 3])
    )


def slerp(a: np.ndarray, b: np.ndarray, t: float) -> np.ndarray:
    """From ``a`` (t = 0) to ``b`` (t = 1) along the shorter arc; ``(..., 4)``; t may exceed 1."""
    b = np.where(np.sum(a * b, axis=-1, keepdims=True) < 0, -b, b)
    angle = 0.5 * angle_between(a, b)[..., None]
    small = angle < 1e-9
    divisor = np.where(small, 1.0, np.sin(angle))
    wa = np.where(small, 1.0 - t, np.sin((1.0 - t) * angle) / divisor)
    wb = np.where(small, t, np.sin(t * angle) / divisor)
    out = wa * a + wb * b
    return out / np.linalg.norm(out, axis=-1, keepdims=True)
