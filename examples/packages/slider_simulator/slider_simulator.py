"""A cart on a rail that goes where it is told: the smallest simulator that is whole."""

from dataclasses import dataclass, replace

import numpy as np

from sim_bridge.errors import InvalidRequest, unknown
from sim_bridge.files.model_files import sha256_of
from sim_bridge.settings.options import read_options
from sim_bridge.settings.parameters import parameter
from sim_bridge.types import (
    ActionSpec,
    ArraySpec,
    JointSpec,
    LinkPoses,
    ModelReference,
    SimSpec,
    SimState,
    StepOutcome,
)

JOINT, LINK = "cart/slide", "cart"
MODEL = """<mujoco model="slider">
  <worldbody>
    <light pos="0 0 3"/>
    <geom type="capsule" size=".02" fromto="-1 0 0 1 0 0"/>
    <body name="cart">
      <joint name="slide" type="slide" axis="1 0 0" range="-1 1"/>
      <geom type="box" size=".1 .06 .06" rgba=".2 .5 .9 1"/>
    </body>
  </worldbody>
</mujoco>
"""


@dataclass(frozen=True)
class SliderOptions:
    """What ``task_options`` may hold."""

    control_period_s: float = parameter(0.05, "of a step [s]", above=0.0)
    quickness: float = parameter(8.0, "of the approach to the target [1/s]", above=0.0)


class SliderSimulator:
    def __init__(self, task, *, kwargs, image_width, image_height):
        if task not in ("", "rail"):
            raise unknown("task", task, ["rail"])
        self._options = read_options(SliderOptions, kwargs)
        self._files = {"slider.xml": MODEL.encode()}
        self._random = np.random.default_rng()
        self._state = _at(0.0)
        one = np.ones(1)
        self.spec = SimSpec(
            simulator="slider",
            simulator_version="1.0",
            task="rail",
            instruction="move the cart",
            robot_entities=("cart",),
            base_frames=(LINK,),
            joints=(JointSpec(JOINT, False, -1.0, 1.0),),
            action=ActionSpec((JOINT,), -one, one, ("m",), "joint_position"),
            observations=(ArraySpec("position", "float64", (1,), -one, one),),
            control_period_s=self._options.control_period_s,
            max_episode_steps=0,  # it never ends by itself
            model=ModelReference("mjcf", "", sha256_of(self._files)),
        )

    def reset(self, seed=None, state=None, options=None):
        if options:
            raise InvalidRequest(f"reset options {sorted(options)}; valid: none")
        if seed is not None:
            self._random = np.random.default_rng(seed)
        self._state = _at(self._random.uniform(-0.5, 0.5))
        return self._outcome() if state is None else self.set_state(state)

    def step(self, action):
        period_s, start = self.spec.control_period_s, self._state.joint_positions
        end = action + (start - action) * np.exp(-self._options.quickness * period_s)
        self._state = replace(
            self._state,
            time_s=self._state.time_s + period_s,
            joint_positions=end,
            joint_velocities=(end - start) / period_s,
            target_positions=np.array(action, dtype=float),
        )
        return self._outcome()

    def state(self, native=False):
        return self._state

    def set_state(self, state):
        """Names, sizes and numbers are checked already; what ``state`` leaves out stays."""
        change = {}
        if state.joint_names:
            change["joint_positions"] = np.array(state.joint_positions)
            change["joint_velocities"] = np.array(state.joint_velocities)
        if state.target_names:
            change["target_positions"] = np.array(state.target_positions)
        self._state = replace(self._state, **change)
        return self._outcome()

    def link_poses(self):
        x = float(self._state.joint_positions[0])
        return LinkPoses((LINK,), np.array([[x, 0, 0, 0, 0, 0, 1.0]]))

    def render(self, camera):
        raise unknown("camera", camera, [])

    def model_files(self):
        return self._files

    def close(self):
        pass

    def _outcome(self):
        position = self._state.joint_positions.copy()
        return StepOutcome({"position": position}, reward=-abs(float(position[0])))


def _at(x):
    zero, here = np.zeros(1), np.array([x])
    return SimState(
        joint_names=(JOINT,),
        joint_positions=here,
        joint_velocities=zero,
        target_names=(JOINT,),
        target_positions=here.copy(),
    )
