"""Fewer triangles where no pixel shows them.

CAD meshes of robots have hundreds of thousands of triangles; a software rasteriser spends most
of a frame on them. Vertices are clustered on a grid of ``cell_m`` and each cluster is
represented by the point that minimises its quadric error (P. Lindstrom, "Out-of-core
simplification of large polygonal models", SIGGRAPH 2000), so edges and corners stay sharp.
"""

from __future__ import annotations

import numpy as np


def simplify(
    vertices: np.ndarray, faces: np.ndarray, cell_m: float
) -> tuple[np.ndarray, np.ndarray]:
    """``vertices (n, 3)``, ``faces (m, 3)`` -> fewer of both; displaced by less than one cell."""
    vertices = np.asarray(vertices, dtype=float)
    cluster, count = _clusters(vertices, cell_m)
    corners = cluster[faces]
    points = _representatives(vertices, faces, cluster, count, cell_m)
    a, b, c = corners.T
    kept = corners[(a != b) & (b != c) & (a != c)]
    kept = _without_duplicates(kept)
    used, renumbered = np.unique(kept, return_inverse=True)
    return points[used], renumbered.reshape(-1, 3).astype(np.int32)


def _clusters(vertices: np.ndarray, cell_m: float) -> tuple[np.ndarray, int]:
    cells = np.floor((vertices - vertices.min(axis=0)) / cell_m).astype(np.int64)
    size = cells.max(axis=0) + 1
    keys = (cells[:, 0] * size[1] + cells[:, 1]) * size[2] + cells[:, 2]
    _, cluster = np.unique(keys, return_inverse=True)
    return cluster, int(cluster.max()) + 1


def _representatives(
    vertices: np.ndarray, faces: np.ndarray, cluster: np.ndarray, count: int, cell_m: float
) -> np.ndarray:
    """The point of least summed squared distance to the cluster's triangle planes."""
    population = np.bincount(cluster, minlength=count)[:, None]
    mean = _sum_by(cluster, vertices, count) / population
    triangles = vertices[faces]
    normals = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    outer = (normals[:, :, None] * normals[:, None, :]).reshape(-1, 9)
    summed, right = np.zeros((count, 9)), np.zeros((count, 3))
    for corner in range(3):
        owner = cluster[faces[:, corner]]
        # Distances relative to the cluster's mean keep the system well conditioned.
        distance = np.sum(normals * (triangles[:, corner] - mean[owner]), axis=1, keepdims=True)
        summed += _sum_by(owner, outer, count)
        right += _sum_by(owner, normals * distance, count)
    quadric = summed.reshape(-1, 3, 3)
    # Where the planes do not fix the point (flat patches, straight edges) the mean decides.
    damping = 1e-3 * np.trace(quadric, axis1=1, axis2=2) + 1e-30
    shift = np.linalg.solve(quadric + damping[:, None, None] * np.eye(3), right[:, :, None])[
        :, :, 0
    ]
    return mean + np.clip(shift, -0.5 * cell_m, 0.5 * cell_m)


def _sum_by(index: np.ndarray, values: np.ndarray, count: int) -> np.ndarray:
    return np.stack([np.bincount(index, column, count) for column in values.T], axis=1)


def _without_duplicates(faces: np.ndarray) -> np.ndarray:
    """Faces that collapsed onto each other are drawn once; the winding of the first one is kept."""
    if not len(faces):
        return faces
    _, first = np.unique(np.sort(faces, axis=1), axis=0, return_index=True)
    return faces[np.sort(first)]
