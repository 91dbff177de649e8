"""No physics: joints that follow their targets and test pictures that cost nothing to draw.

For measuring what the bridge and the network cost, and for trying a set-up without graphics.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sim_bridge.errors import unknown
from sim_bridge.files.model_files import sha256_of
from sim_bridge.settings.options import read_options
from sim_bridge.settings.parameters import parameter
from sim_bridge.types import (
    ActionSpec,
    ArraySpec,
    CameraSpec,
    JointSpec,
    LinkPoses,
    ModelReference,
    SimSpec,
    SimState,
    StepOutcome,
)

_LIMIT_RAD = 3.0
_SPEED = 10.0  # of the approach to the target [1/s]
_STAMP_BYTES = 8
_LINK = '<body pos="0 0 {offset}"><joint name="{name}" axis="{axis}"/><geom fromto="0 0 0 0 0 .2"/>'


@dataclass(frozen=True)
class SyntheticOptions:
    cameras: int = parameter(3, "how many", low=0)
    joints: int = parameter(6, "how many", low=1)
    control_period_s: float = parameter(1 / 30, "simulated time of a step [s]", above=0.0)
    step_wall_time_s: float = parameter(
        0.0, "how long a step keeps the CPU busy, without touching memory [s]", low=0.0, high=60.0
    )


class SyntheticSimulator:
    """``task`` is only a name. Each picture's first 8 bytes hold ``time.monotonic_ns()`` of when
    it was drawn, little endian (see ``drawn_at_ns``)."""

    def __init__(
        self,
        task: str,
        kwargs: Mapping[str, Any] | None = None,
        image_width: int = 640,
        image_height: int = 480,
    ) -> None:
        options = read_options(SyntheticOptions, kwargs or {})
        self._size = image_width, image_height
        # Twice as wide as a picture, so that a moving window into it is one.
        ramp = np.add.outer(np.arange(image_height), np.arange(2 * image_width)) % 256
        self._pattern = np.stack([ramp, ramp[:, ::-1], 255 - ramp], axis=-1).astype(np.uint8)
        self._step_wall_time_s = options.step_wall_time_s
        self._steps = 0
        self._random = np.random.default_rng()
        names = tuple(f"synthetic/joint{i}" for i in range(options.joints))
        bounds = np.full(options.joints, _LIMIT_RAD)
        self._state = SimState(
            joint_names=names,
            joint_positions=np.zeros(options.joints),
            joint_velocities=np.zeros(options.joints),
            target_names=names,
            target_positions=np.zeros(options.joints),
        )
        self._files = {"chain.xml": _chain(names)}
        unbounded = np.array([-np.inf]), np.array([np.inf])
        self._spec = SimSpec(
            simulator="synthetic",
            simulator_version="1",
            task=task,
            instruction="",
            robot_entities=("synthetic",),
            base_frames=("synthetic",),
            joints=tuple(JointSpec(name, True, -_LIMIT_RAD, _LIMIT_RAD) for name in names),
            action=ActionSpec(names, -bounds, bounds, ("rad",) * len(names), "joint_position"),
            observations=(ArraySpec("joint_positions", "float64", (len(names),), *unbounded),),
            control_period_s=options.control_period_s,
            cameras=tuple(
                _camera(f"camera{i}", image_width, image_height) for i in range(options.cameras)
            ),
            model=ModelReference("mjcf", "", sha256_of(self._files)),
        )

    @property
    def spec(self) -> SimSpec:
        return self._spec

    def reset(
        self,
        seed: int | None = None,
        state: SimState | None = None,
        options: dict[str, Any] | None = None,
    ) -> StepOutcome:
        if seed is not None:
            self._random = np.random.default_rng(seed)
        start = self._random.uniform(-1.0, 1.0, len(self._state.joint_names))
        self._steps = 0
        self._state = replace(
            self._state,
            time_s=0.0,
            joint_positions=start,
            joint_velocities=np.zeros_like(start),
            target_positions=start.copy(),
        )
        return self._outcome() if state is None else self.set_state(state)

    def step(self, action: np.ndarray) -> StepOutcome:
        end = time.perf_counter() + self._step_wall_time_s
        while time.perf_counter() < end:
            pass
        self._steps += 1
        period_s, before = self._spec.control_period_s, self._state.joint_positions
        after = before + (action - before) * min(1.0, _SPEED * period_s)
        self._state = replace(
            self._state,
            time_s=self._steps * period_s,
            joint_positions=after,
            joint_velocities=(after - before) / period_s,
            target_positions=np.array(action, dtype=float),
        )
        return self._outcome()

    def state(self, native: bool = False) -> SimState:
        return self._state

    def set_state(self, state: SimState) -> StepOutcome:
        known = self._state.joint_names
        positions = self._state.joint_positions.copy()
        velocities = self._state.joint_velocities.copy()
        targets = self._state.target_positions.copy()
        for i, name in enumerate(state.joint_names):
            j = known.index(name)
            positions[j], velocities[j] = state.joint_positions[i], state.joint_velocities[i]
        for name, target in zip(state.target_names, state.target_positions, strict=True):
            if name in known:
                targets[known.index(name)] = target
        self._state = replace(
            self._state,
            joint_positions=positions,
            joint_velocities=velocities,
            target_positions=targets,
        )
        return self._outcome()

    def link_poses(self) -> LinkPoses:
        return LinkPoses(("synthetic",), np.array([[0, 0, 0, 0, 0, 0, 1.0]]))

    def render(self, camera: str) -> np.ndarray:
        known = [spec.name for spec in self._spec.cameras]
        if camera not in known:
            raise unknown("camera", camera, known)
        width, _ = self._size
        shift = (self._steps + 50 * known.index(camera)) % width
        image = np.ascontiguousarray(self._pattern[:, shift : shift + width])
        stamp = time.monotonic_ns().to_bytes(_STAMP_BYTES, "little")
        image.reshape(-1)[:_STAMP_BYTES] = np.frombuffer(stamp, np.uint8)
        return image

    def model_files(self) -> dict[str, bytes]:
        return self._files

    def close(self) -> None:
        pass

    def _outcome(self) -> StepOutcome:
        return StepOutcome({"joint_positions": self._state.joint_positions})


def _chain(joints: tuple[str, ...]) -> bytes:
    """MJCF of an upright chain, so that a mirror has something to show."""
    links = [
        _LINK.format(offset=0.2 * bool(i), name=name.split("/")[1], axis=("0 0 1", "0 1 0")[i % 2])
        for i, name in enumerate(joints)
    ]
    return (
        '<mujoco model="synthetic"><default><geom type="capsule" size=".03"/></default>'
        '<worldbody><geom type="plane" size="1 1 .1"/><body name="synthetic">'
        f"{''.join(links)}{'</body>' * len(links)}</body></worldbody></mujoco>"
    ).encode()


def drawn_at_ns(data: bytes) -> int:
    """``time.monotonic_ns()`` of the drawing, from the pixels of a raw synthetic picture."""
    return int.from_bytes(bytes(data[:_STAMP_BYTES]), "little")


def _camera(name: str, width: int, height: int) -> CameraSpec:
    focal = float(height)
    center = (width - 1) / 2, (height - 1) / 2
    return CameraSpec(name, width, height, f"{name}_optical_frame", focal, focal, *center)
