"""What a policy server offers: a policy, the task it is for, and the names clients use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from policy_node.policies.servers.key_map import ImageEntry, KeyMap, StateEntry, get
from policy_node.policy import PolicySpec
from sim_bridge.errors import InvalidRequest
from sim_bridge.types import Observation, SimSpec


@dataclass(frozen=True)
class ServedTask:
    """``key_map`` is bound to ``sim_spec``; requests are read by it backwards."""

    policy: PolicySpec
    sim_spec: SimSpec
    key_map: KeyMap

    @property
    def action_names(self) -> tuple[str, ...]:
        return self.policy.action_names or self.sim_spec.action.names

    @property
    def dt_s(self) -> float:
        return self.policy.dt_s or self.sim_spec.control_period_s

    @property
    def required_keys(self) -> tuple[tuple[str, ...], ...]:
        """Keys that a request must have: all of the state, the images that the policy looks at."""
        images = tuple(entry.to for entry in self._images())
        return images + tuple(entry.to for entry in self.key_map.state)

    def metadata(self) -> dict[str, Any]:
        """What the server says of itself, in plain types."""
        return {
            "server": "policy_node",
            "policy": self.policy.kind,
            "description": self.policy.description,
            "task": self.sim_spec.task,
            "instruction": self.sim_spec.instruction,
            "action_names": list(self.action_names),
            "action_horizon": self.policy.horizon,
            "action_dt_s": self.dt_s,
            "observation_keys": ["/".join(path) for path in self.required_keys],
        }

    def observation(self, request: dict[str, Any]) -> Observation:
        """A request as an observation. Raises InvalidRequest that lists what was asked for.

        Images outside ``required_keys`` are taken when they are there.
        """
        missing = [path for path in self.required_keys if get(request, path) is None]
        if missing:
            raise InvalidRequest(
                f"the observation lacks {', '.join('/'.join(path) for path in missing)}; "
                f"needed: {', '.join('/'.join(path) for path in self.required_keys)}"
            )
        names = tuple(joint.name for joint in self.sim_spec.joints)
        positions, velocities = np.zeros(len(names)), np.zeros(len(names))
        arrays: dict[str, np.ndarray] = {}
        for entry in self.key_map.state:
            if entry.array:
                _fill_array(arrays, entry, _vector(request, entry, None), self.sim_spec)
                continue
            order = [self.key_map.joint_index(name, names) for name in entry.joints]
            target = velocities if entry.of == "velocity" else positions
            target[order] = _vector(request, entry, len(order))
        prompt = get(request, self.key_map.prompt) if self.key_map.prompt else None
        return Observation(
            joint_names=names,
            joint_positions=positions,
            joint_velocities=velocities,
            images={
                e.camera: _image(request, e)
                for e in self.key_map.images
                if get(request, e.to) is not None
            },
            arrays=arrays,
            instruction=prompt if isinstance(prompt, str) else self.sim_spec.instruction,
        )

    def _images(self) -> tuple[ImageEntry, ...]:
        wanted = self.policy.image_keys
        return tuple(entry for entry in self.key_map.images if entry.camera in wanted)


def _vector(request: dict[str, Any], entry: StateEntry, size: int | None) -> np.ndarray:
    value = get(request, entry.to)
    where = "/".join(entry.to)
    try:
        vector = np.ravel(np.asarray(value, dtype=np.float64))
    except (TypeError, ValueError):
        raise InvalidRequest(f"{where} is not an array of numbers") from None
    if size is not None and len(vector) != size:
        raise InvalidRequest(f"{where} has {len(vector)} values; needed: {', '.join(entry.joints)}")
    if not np.isfinite(vector).all():
        raise InvalidRequest(f"{where} has NaN or infinity")
    return (vector - entry.offset) / entry.scale


def _fill_array(arrays: dict, entry: StateEntry, vector: np.ndarray, spec: SimSpec) -> None:
    layout = next(array for array in spec.observations if array.name == entry.array)
    size = int(np.prod(layout.shape))
    where = "/".join(entry.to)
    indices = list(entry.indices) or list(range(size))
    if len(vector) != len(indices):
        raise InvalidRequest(f"{where} has {len(vector)} values; needed: {len(indices)}")
    flat = np.ravel(arrays.get(entry.array, np.zeros(size)))
    flat[indices] = vector
    arrays[entry.array] = flat.reshape(layout.shape)


def _image(request: dict[str, Any], entry: ImageEntry) -> np.ndarray:
    image = np.asarray(get(request, entry.to))
    if entry.layout == "chw":
        image = np.moveaxis(image, 0, -1) if image.ndim == 3 else image
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise InvalidRequest(
            f"{'/'.join(entry.to)} has shape {image.shape} and type {image.dtype}; "
            f"needed: uint8 {entry.layout} with 3 channels"
        )
    return np.ascontiguousarray(image)
