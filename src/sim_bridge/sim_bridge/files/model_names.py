"""Names of a MuJoCo model's parts, also of those without one: the same at both ends of the wire.

A part without a name is ``joint7`` or ``body3``, by its index in the model; with more underscores
where another part has that name.
"""

from __future__ import annotations

from typing import Any


def joint_names(model: Any) -> tuple[str, ...]:
    """Of all joints of the ``mujoco.MjModel``, in its order."""
    return _filled([model.joint(j).name for j in range(model.njnt)], "joint")


def body_names(model: Any) -> tuple[str, ...]:
    """Of all bodies, in its order; the first one is the world."""
    return _filled([model.body(b).name for b in range(model.nbody)], "body")


def _filled(names: list[str], kind: str) -> tuple[str, ...]:
    taken = set(names)
    out = []
    for index, name in enumerate(names):
        filled = name or f"{kind}{index}"
        while not name and filled in taken:
            filled += "_"
        out.append(filled)
    return tuple(out)
