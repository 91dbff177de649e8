"""Key map: how this project's observations and actions are called at a model server.

Written as a small YAML file (``key_map_file``); every key is a name or, for nested maps, a list
of names:

    images:
      - {to: observation/image, camera: front, size: [224, 224], fit: pad, layout: hwc}
    state:
      - {to: observation/joint_position, joints: [shoulder_pan, elbow_flex], scale: 57.29578}
      - {to: [state, gripper], array: agent_pos, indices: [6]}
    prompt: prompt
    actions:
      - {from: actions, names: [shoulder_pan, elbow_flex, "-"], scale: 0.01745329}

``size`` is (height, width), ``fit`` pad or stretch, ``layout`` hwc or chw. ``joints`` are matched
by name, with or without the entity before the slash, and sent in the order written: positions,
or ``of: velocity``; ``array`` takes an observation array instead. What is sent is
``value * scale + offset``; for actions that is what comes out, so factors turn units in both
directions. ``dtype`` is float32 or float64. ``"*"`` as camera, array or only joint stands for all
of them, ``{camera}``, ``{array}`` and ``{joint}`` in ``to`` for each one's name. ``names`` are the
columns of the reply; ``-`` drops a column, and no names at all means the task's own order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from policy_node.policies.servers import images as image_tools
from sim_bridge.errors import InvalidRequest, NotFound, OperationFailed
from sim_bridge.types import Observation, SimSpec

EVERY = "*"
SKIP = "-"
KeyPath = tuple[str, ...]


@dataclass(frozen=True)
class ImageEntry:
    to: KeyPath
    camera: str = EVERY
    size: tuple[int, int] | None = None
    fit: str = "pad"
    layout: str = "hwc"


@dataclass(frozen=True)
class StateEntry:
    to: KeyPath
    joints: tuple[str, ...] = ()
    of: str = "position"
    array: str = ""
    indices: tuple[int, ...] = ()
    scale: Any = 1.0
    offset: Any = 0.0
    dtype: str = "float32"


@dataclass(frozen=True)
class ActionEntry:
    source: KeyPath
    names: tuple[str, ...] = ()
    scale: Any = 1.0
    offset: Any = 0.0


@dataclass(frozen=True)
class KeyMap:
    images: tuple[ImageEntry, ...] = ()
    state: tuple[StateEntry, ...] = ()
    prompt: KeyPath = ()
    actions: tuple[ActionEntry, ...] = ()
    name: str = "key map"

    @property
    def action_names(self) -> tuple[str, ...]:
        """Names of the columns of ``decode``'s result; empty when the map does not name them."""
        return tuple(name for entry in self.actions for name in entry.names if name != SKIP)

    @property
    def cameras(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(e.camera for e in self.images if e.camera != EVERY))

    @property
    def request_keys(self) -> tuple[KeyPath, ...]:
        """Keys of a request, as far as the map alone tells."""
        prompt = (self.prompt,) if self.prompt else ()
        return tuple(e.to for e in self.images) + tuple(e.to for e in self.state) + prompt

    def bound_to(self, spec: SimSpec) -> KeyMap:
        """The map for one simulator: wildcards written out, every name checked.

        Raises NotFound, listing both sides, when the simulator lacks something the map names.
        """
        cameras = tuple(camera.name for camera in spec.cameras)
        joints = tuple(joint.name for joint in spec.joints)
        arrays = tuple(array.name for array in spec.observations)
        for image in self.images:
            if image.camera not in cameras + (EVERY,):
                raise self._missing("camera", image.camera, cameras)
        for entry in self.state:
            if entry.array and entry.array not in (*arrays, EVERY):
                raise self._missing("observation array", entry.array, arrays)
            for joint in entry.joints:
                self.joint_index(joint, joints)
        bound = replace(
            self,
            images=self._expanded_images(cameras),
            state=self._expanded_state(_robot_joints(spec), arrays),
            actions=self._named_actions(spec),
        )
        names = bound.action_names
        if names and sorted(names) != sorted(spec.action.names):
            raise InvalidRequest(
                f"{self.name} maps the actions {', '.join(names)}, but the task takes "
                f"{', '.join(spec.action.names)}"
            )
        return bound

    def narrowed_to(self, keys: Sequence[str]) -> KeyMap:
        """Without the images that a server does not ask for; ``keys`` are joined by slashes."""
        return replace(self, images=tuple(e for e in self.images if "/".join(e.to) in keys))

    def encode(self, observation: Observation) -> dict[str, Any]:
        """The request: a nested dict of arrays (float32 vectors, uint8 images) and strings.

        Raises NotFound, listing what the observation has, when something mapped is missing.
        """
        request: dict[str, Any] = {}
        for image in self._expanded_images(tuple(observation.images)):
            put(request, image.to, self._image(image, observation))
        for entry in self._expanded_state(observation.joint_names, tuple(observation.arrays)):
            put(request, entry.to, self._vector(entry, observation))
        if self.prompt:
            put(request, self.prompt, observation.instruction)
        return request

    def decode(self, reply: dict[str, Any]) -> np.ndarray:
        """A chunk ``(H, A)`` float64 from the reply.

        Raises OperationFailed for a missing key, a wrong shape, an empty chunk, NaN or infinity.
        """
        parts = [self._columns(entry, reply) for entry in self.actions]
        heights = {len(part) for part in parts}
        if len(heights) != 1:
            raise OperationFailed(f"the server's action parts differ in length: {sorted(heights)}")
        chunk = np.concatenate(parts, axis=1)
        if not chunk.size:
            raise OperationFailed(f"the server answered with an empty chunk of shape {chunk.shape}")
        if not np.isfinite(chunk).all():
            row, column = np.argwhere(~np.isfinite(chunk))[0]
            raise OperationFailed(
                f"the server answered with {chunk[row, column]} in row {row}, column {column} "
                f"of a chunk of shape {chunk.shape}"
            )
        return chunk

    def _image(self, entry: ImageEntry, observation: Observation) -> np.ndarray:
        if entry.camera not in observation.images:
            raise self._missing("image", entry.camera, observation.images)
        image = observation.images[entry.camera]
        if entry.size:
            image = image_tools.resize(image, entry.size, entry.fit)
        return np.ascontiguousarray(image.transpose(2, 0, 1)) if entry.layout == "chw" else image

    def _vector(self, entry: StateEntry, observation: Observation) -> np.ndarray:
        if entry.array:
            if entry.array not in observation.arrays:
                raise self._missing("observation array", entry.array, observation.arrays)
            values = np.ravel(observation.arrays[entry.array])
        else:
            order = [self.joint_index(name, observation.joint_names) for name in entry.joints]
            velocity = entry.of == "velocity"
            values = observation.joint_velocities if velocity else observation.joint_positions
            values = values[order]
        if entry.indices:
            if max(entry.indices) >= len(values):
                raise NotFound(
                    f"{self.name} takes element {max(entry.indices)} of "
                    f"{entry.array or 'the joints'}, which has {len(values)}"
                )
            values = values[list(entry.indices)]
        return np.asarray(values * entry.scale + entry.offset, dtype=entry.dtype)

    def _columns(self, entry: ActionEntry, reply: dict[str, Any]) -> np.ndarray:
        where = "/".join(entry.source)
        value = get(reply, entry.source)
        if value is None:
            raise OperationFailed(
                f"the server's reply has no {where!r}; "
                f"it has {', '.join(_paths(reply)) or 'nothing'}"
            )
        try:
            columns = np.asarray(value, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise OperationFailed(
                f"the server's {where!r} is not an array of numbers: {error}"
            ) from None
        if columns.ndim == 3 and columns.shape[0] == 1:
            columns = columns[0]
        if columns.ndim == 1:
            columns = columns[:, None] if len(entry.names) == 1 else columns[None, :]
        width = len(entry.names) or columns.shape[-1]
        if columns.ndim != 2 or columns.shape[1] != width:
            raise OperationFailed(
                f"the server's {where!r} has shape {np.shape(value)}; expected (steps, {width})"
                + (f" for {', '.join(entry.names)}" if entry.names else "")
            )
        columns = columns * entry.scale + entry.offset
        kept = [i for i, name in enumerate(entry.names) if name != SKIP]
        return columns[:, kept] if entry.names else columns

    def _expanded_images(self, cameras: tuple[str, ...]) -> tuple[ImageEntry, ...]:
        expanded = []
        for entry in self.images:
            for camera in cameras if entry.camera == EVERY else (entry.camera,):
                to = tuple(part.replace("{camera}", camera) for part in entry.to)
                expanded.append(replace(entry, camera=camera, to=to))
        return tuple(expanded)

    def _expanded_state(
        self, joints: tuple[str, ...], arrays: tuple[str, ...]
    ) -> tuple[StateEntry, ...]:
        expanded = []
        for entry in self.state:
            if entry.array:
                for array in arrays if entry.array == EVERY else (entry.array,):
                    to = tuple(part.replace("{array}", array) for part in entry.to)
                    expanded.append(replace(entry, array=array, to=to))
                continue
            names = joints if entry.joints == (EVERY,) else entry.joints
            if not any("{joint}" in part for part in entry.to):
                expanded.append(replace(entry, joints=names))
                continue
            for i, name in enumerate(names):
                short = name.rsplit("/", 1)[-1]
                to = tuple(part.replace("{joint}", short) for part in entry.to)
                scale, offset = (_element(v, i) for v in (entry.scale, entry.offset))
                expanded.append(replace(entry, joints=(name,), to=to, scale=scale, offset=offset))
        return tuple(expanded)

    def _named_actions(self, spec: SimSpec) -> tuple[ActionEntry, ...]:
        if len(self.actions) == 1 and not self.actions[0].names:
            return (replace(self.actions[0], names=spec.action.names),)
        return self.actions

    def joint_index(self, name: str, joints: tuple[str, ...]) -> int:
        if name == EVERY:
            return 0
        found = [i for i, j in enumerate(joints) if j == name or j.endswith(f"/{name}")]
        if len(found) > 1:
            raise InvalidRequest(
                f"{self.name}: joint {name!r} is ambiguous: {', '.join(joints[i] for i in found)}"
            )
        if not found:
            raise self._missing("joint", name, joints)
        return found[0]

    def _missing(self, kind: str, name: str, available) -> NotFound:
        return NotFound(
            f"{self.name} asks for {kind} {name!r}, which the simulator does not give; "
            f"it gives: {', '.join(available) or 'none'}"
        )


def _robot_joints(spec: SimSpec) -> tuple[str, ...]:
    return tuple(j.name for j in spec.joints if j.name.split("/")[0] in spec.robot_entities)


def _element(value: Any, index: int) -> Any:
    return value[index] if np.ndim(value) else value


def put(target: dict[str, Any], path: KeyPath, value: Any) -> None:
    """Write ``value`` into nested maps."""
    for key in path[:-1]:
        target = target.setdefault(key, {})
    target[path[-1]] = value


def get(source: Any, path: KeyPath) -> Any:
    """Read from nested maps; None when there is nothing."""
    for key in path:
        if not isinstance(source, dict) or key not in source:
            return None
        source = source[key]
    return source


def _paths(tree: dict[str, Any], prefix: str = "") -> list[str]:
    found: list[str] = []
    for key, value in tree.items():
        nested = isinstance(value, dict)
        found += _paths(value, f"{prefix}{key}/") if nested else [f"{prefix}{key}"]
    return found
