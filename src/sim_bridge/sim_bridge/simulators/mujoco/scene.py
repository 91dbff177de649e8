"""Names, states and pictures of a MuJoCo model and its data, for every simulator built on it.

Wire names are ``entity/name``. The entity of a joint or link is given by the root body of its
tree (the child of the world that holds it); names that contain a slash already are kept.
MuJoCo's quaternions are wxyz; this is the one place where they meet the wire's xyzw.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import mujoco
import numpy as np

from sim_bridge.errors import InvalidState
from sim_bridge.files.model_names import body_names, joint_names
from sim_bridge.files.safe_npz import read_npz
from sim_bridge.types import JointSpec, LinkPoses, SimState

_BALL = int(mujoco.mjtJoint.mjJNT_BALL)
_FREE = int(mujoco.mjtJoint.mjJNT_FREE)
_HINGE = int(mujoco.mjtJoint.mjJNT_HINGE)
_SLIDE = int(mujoco.mjtJoint.mjJNT_SLIDE)
_POSITION_BIAS = int(mujoco.mjtBias.mjBIAS_AFFINE)
_JOINT_TRANSMISSION = int(mujoco.mjtTrn.mjTRN_JOINT)
_INTEGRATION = mujoco.mjtState.mjSTATE_INTEGRATION
# What a task may read between two steps and mj_step leaves one substep behind the positions.
_DERIVED = (
    "xpos", "xquat", "xmat", "xipos", "ximat", "xanchor", "xaxis", "geom_xpos", "geom_xmat",
    "site_xpos", "site_xmat", "cam_xpos", "cam_xmat", "subtree_com", "cvel", "sensordata",
    "ten_length", "actuator_length", "actuator_velocity", "actuator_force", "qfrc_actuator",
    "qfrc_bias", "qacc",
)  # fmt: skip
_EXTRA = "extra."
NATIVE_FORMAT = f"mujoco {mujoco.__version__}"

_TURN_TO_XYZW, _TURN_TO_WXYZ = [1, 2, 3, 0], [3, 0, 1, 2]
_TO_XYZW = [0, 1, 2, 4, 5, 6, 3]
_TO_WXYZ = [0, 1, 2, 6, 3, 4, 5]


@dataclass(frozen=True)
class _Addresses:
    names: tuple[str, ...]
    qpos: np.ndarray
    dof: np.ndarray


class MujocoScene:
    """View of a model and its data by wire name.

    ``entities`` maps the name of a root body to its entity (default: the body's own name).
    """

    def __init__(
        self, model: mujoco.MjModel, data: mujoco.MjData, entities: Mapping[str, str] | None = None
    ) -> None:
        self.model = model
        self.data = data
        self._entities = dict(entities or {})
        self._model_joints, self._model_bodies = joint_names(model), body_names(model)
        self._joints = self._single_axis_joints()
        self._balls = self._ball_joints()
        self._bodies, self._body_ids = self._free_bodies()
        self._targets, self._actuators = self._position_targets()
        self.link_bodies = list(range(1, model.nbody))
        self.link_names = tuple(self.body_name(b) for b in self.link_bodies)

    @property
    def joint_names(self) -> tuple[str, ...]:
        return self._joints.names

    @property
    def body_names(self) -> tuple[str, ...]:
        return self._bodies.names

    @property
    def ball_names(self) -> tuple[str, ...]:
        return self._balls.names

    @property
    def joint_ids(self) -> list[int]:
        """The model's index of each joint of ``joint_names``."""
        return self._of_type(_HINGE, _SLIDE)

    @property
    def joint_addresses(self) -> np.ndarray:
        """Index in ``qpos`` of each joint of ``joint_names``."""
        return self._joints.qpos

    @property
    def body_addresses(self) -> np.ndarray:
        """Indices ``(m, 7)`` in ``qpos`` of each body of ``body_names``."""
        return self._bodies.qpos

    @property
    def position_actuators(self) -> dict[int, str]:
        """Joint name by actuator, for those whose control is a joint's position target."""
        return {int(a): name for a, name in zip(self._actuators, self._targets, strict=True)}

    def body_name(self, body: int) -> str:
        """``entity/body``; just ``entity`` for a single free body of the same name."""
        name = self._model_bodies[body]
        root = int(self.model.body_rootid[body])
        entity = self._entity(root)
        if "/" in name or (body == root and entity == name):
            return name
        return f"{entity}/{name}"

    def joint_name(self, joint: int) -> str:
        name = self._model_joints[joint]
        if "/" in name:
            return name
        return f"{self._entity(int(self.model.body_rootid[self.model.jnt_bodyid[joint]]))}/{name}"

    def joint_specs(self) -> tuple[JointSpec, ...]:
        out = []
        for joint in self.joint_ids:
            limited = bool(self.model.jnt_limited[joint])
            lower, upper = self.model.jnt_range[joint] if limited else (-np.inf, np.inf)
            revolute = int(self.model.jnt_type[joint]) == _HINGE
            out.append(JointSpec(self.joint_name(joint), revolute, float(lower), float(upper)))
        return tuple(out)

    def robots(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Entities that have joints, and the tf frame of each one's root body."""
        roots: dict[str, int] = {}
        for joint in self._of_type(_HINGE, _SLIDE, _BALL):
            name = self.joint_name(joint).split("/")[0]
            roots.setdefault(name, int(self.model.body_rootid[self.model.jnt_bodyid[joint]]))
        return tuple(roots), tuple(self.body_name(root) for root in roots.values())

    def state(
        self, native: bool = False, extras: Mapping[str, np.ndarray] | None = None
    ) -> SimState:
        """The state now; ``extras`` are arrays of the task that the native block must hold."""
        data = self.data
        return SimState(
            time_s=float(data.time),
            joint_names=self._joints.names,
            joint_positions=data.qpos[self._joints.qpos],
            joint_velocities=data.qvel[self._joints.dof],
            body_names=self._bodies.names,
            body_poses=data.qpos[self._bodies.qpos][:, _TO_XYZW],
            body_twists=self._twists_to_world(data.qvel[self._bodies.dof]),
            **self._ball_state(),
            target_names=self._targets,
            target_positions=data.ctrl[self._actuators],
            native_format=NATIVE_FORMAT if native else "",
            native=self._pack(extras or {}) if native else b"",
        )

    def read_native(self, state: SimState) -> dict[str, np.ndarray] | None:
        """The arrays of a native block of this engine, for ``set_state``; None without one.

        Writes nothing. Raises InvalidState for a block of another model.
        """
        return self._unpack(state.native) if state.native_format == NATIVE_FORMAT else None

    def set_state(self, state: SimState, native: dict[str, np.ndarray] | None) -> None:
        """Write what ``state`` names; ``native`` is what ``read_native`` made of it.

        With it the restore is exact; joints and bodies that were edited since then win over it.
        """
        data = self.data
        if native is None:
            self._write(state)
            mujoco.mj_forward(self.model, data)
            return
        mujoco.mj_setState(self.model, data, native["integration"], _INTEGRATION)
        if self._write(state):
            mujoco.mj_forward(self.model, data)
            return
        mujoco.mj_forward(self.model, data)
        # mj_forward refreshed the warm start and what lags one substep behind: put both back.
        mujoco.mj_setState(self.model, data, native["integration"], _INTEGRATION)
        for name in _DERIVED:
            getattr(data, name)[:] = native[f"derived.{name}"]

    def link_poses(self) -> LinkPoses:
        """Poses of all bodies for the joint positions of now (not one substep behind)."""
        scratch = self._scratch_at_now()
        mujoco.mj_kinematics(self.model, scratch)
        poses = np.hstack([scratch.xpos[self.link_bodies], scratch.xquat[self.link_bodies]])
        return LinkPoses(self.link_names, poses[:, _TO_XYZW])

    _scratch: mujoco.MjData | None = None

    def _scratch_at_now(self) -> mujoco.MjData:
        if self._scratch is None:
            self._scratch = mujoco.MjData(self.model)
        self._scratch.qpos[:] = self.data.qpos
        self._scratch.mocap_pos[:] = self.data.mocap_pos
        self._scratch.mocap_quat[:] = self.data.mocap_quat
        return self._scratch

    def _entity(self, root: int) -> str:
        name = self._model_bodies[root]
        return self._entities.get(name, name.split("/")[0])

    def _of_type(self, *types: int) -> list[int]:
        return [j for j in range(self.model.njnt) if int(self.model.jnt_type[j]) in types]

    def _single_axis_joints(self) -> _Addresses:
        joints = self.joint_ids
        return _Addresses(
            tuple(self.joint_name(j) for j in joints),
            self.model.jnt_qposadr[joints].astype(int),
            self.model.jnt_dofadr[joints].astype(int),
        )

    def _ball_joints(self) -> _Addresses:
        joints = self._of_type(_BALL)
        return _Addresses(
            tuple(self.joint_name(j) for j in joints),
            self.model.jnt_qposadr[joints].astype(int)[:, None] + np.arange(4),
            self.model.jnt_dofadr[joints].astype(int)[:, None] + np.arange(3),
        )

    def _ball_state(self) -> dict[str, Any]:
        if not self._balls.names:
            return {}
        return {
            "ball_names": self._balls.names,
            "ball_rotations": self.data.qpos[self._balls.qpos][:, _TURN_TO_XYZW],
            "ball_velocities": self.data.qvel[self._balls.dof],
        }

    def _free_bodies(self) -> tuple[_Addresses, np.ndarray]:
        joints = self._of_type(_FREE)
        bodies = self.model.jnt_bodyid[joints].astype(int)
        addresses = _Addresses(
            tuple(self.body_name(int(b)) for b in bodies),
            self.model.jnt_qposadr[joints].astype(int)[:, None] + np.arange(7),
            self.model.jnt_dofadr[joints].astype(int)[:, None] + np.arange(6),
        )
        return addresses, bodies

    def _position_targets(self) -> tuple[tuple[str, ...], np.ndarray]:
        model = self.model
        chosen = [
            a
            for a in range(model.nu)
            if int(model.actuator_biastype[a]) == _POSITION_BIAS
            and int(model.actuator_trntype[a]) == _JOINT_TRANSMISSION
            and model.actuator_biasprm[a, 1] != 0
            and int(model.jnt_type[model.actuator_trnid[a, 0]]) in (_HINGE, _SLIDE)
        ]
        names = tuple(self.joint_name(int(model.actuator_trnid[a, 0])) for a in chosen)
        return names, np.array(chosen, dtype=int)

    def _twists_to_world(self, qvel: np.ndarray) -> np.ndarray:
        """MuJoCo's free joints have world linear but body-frame angular velocity."""
        out = qvel.copy()
        for row, quat in zip(out, self.data.qpos[self._bodies.qpos][:, 3:], strict=True):
            mujoco.mju_rotVecQuat(row[3:], row[3:].copy(), quat)
        return out

    def _write(self, state: SimState) -> bool:
        """Write joints and bodies that differ from the state now; whether any did."""
        now = self.state()
        changed = False
        for name, position, velocity in zip(
            state.joint_names, state.joint_positions, state.joint_velocities, strict=True
        ):
            i = now.joint_names.index(name)
            if position != now.joint_positions[i] or velocity != now.joint_velocities[i]:
                self.data.qpos[self._joints.qpos[i]] = position
                self.data.qvel[self._joints.dof[i]] = velocity
                changed = True
        for name, pose, twist in zip(
            state.body_names, state.body_poses, state.body_twists, strict=True
        ):
            i = now.body_names.index(name)
            if not (
                np.array_equal(pose, now.body_poses[i])
                and np.array_equal(twist, now.body_twists[i])
            ):
                self._write_body(i, pose, twist)
                changed = True
        changed |= self._write_balls(state, now)
        changed |= self._write_targets(state, now)
        return changed

    def _write_body(self, index: int, pose: np.ndarray, twist: np.ndarray) -> None:
        wxyz = np.asarray(pose)[_TO_WXYZ]
        inverse, angular = np.zeros(4), np.zeros(3)
        mujoco.mju_negQuat(inverse, wxyz[3:])
        mujoco.mju_rotVecQuat(angular, np.asarray(twist[3:], dtype=float), inverse)
        self.data.qpos[self._bodies.qpos[index]] = wxyz
        self.data.qvel[self._bodies.dof[index]] = np.concatenate([twist[:3], angular])

    def _write_balls(self, state: SimState, now: SimState) -> bool:
        changed = False
        for name, turn, rate in zip(
            state.ball_names, state.ball_rotations, state.ball_velocities, strict=True
        ):
            i = now.ball_names.index(name)
            if not (
                np.array_equal(turn, now.ball_rotations[i])
                and np.array_equal(rate, now.ball_velocities[i])
            ):
                self.data.qpos[self._balls.qpos[i]] = np.asarray(turn)[_TURN_TO_WXYZ]
                self.data.qvel[self._balls.dof[i]] = rate
                changed = True
        return changed

    def _write_targets(self, state: SimState, now: SimState) -> bool:
        changed = False
        for name, target in zip(state.target_names, state.target_positions, strict=True):
            if name in now.target_names:
                i = now.target_names.index(name)
                changed |= bool(target != now.target_positions[i])
                self.data.ctrl[self._actuators[i]] = target
        return changed

    def _pack(self, extras: Mapping[str, np.ndarray]) -> bytes:
        integration = np.empty(mujoco.mj_stateSize(self.model, _INTEGRATION))
        mujoco.mj_getState(self.model, self.data, integration, _INTEGRATION)
        arrays: dict[str, Any] = {"integration": integration}
        arrays.update({f"derived.{name}": getattr(self.data, name) for name in _DERIVED})
        arrays.update({f"{_EXTRA}{name}": value for name, value in extras.items()})
        buffer = io.BytesIO()
        np.savez(buffer, **arrays)
        return buffer.getvalue()

    def _unpack(self, native: bytes) -> dict[str, np.ndarray]:
        try:
            arrays = read_npz(native)
            size = mujoco.mj_stateSize(self.model, _INTEGRATION)
            if arrays["integration"].shape != (size,):
                raise ValueError(f"{arrays['integration'].shape} integration values, not {size}")
            for name in _DERIVED:
                if arrays[f"derived.{name}"].shape != getattr(self.data, name).shape:
                    raise ValueError(f"{name} has another shape")
        except (ValueError, KeyError) as error:
            raise InvalidState(f"native block does not belong to this scene: {error}") from None
        return arrays


def extras_of(native: Mapping[str, np.ndarray] | None) -> dict[str, np.ndarray]:
    """The task's own arrays in what ``MujocoScene.read_native`` gave."""
    return {k.removeprefix(_EXTRA): v for k, v in (native or {}).items() if k.startswith(_EXTRA)}
