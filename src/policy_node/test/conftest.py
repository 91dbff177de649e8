"""Small tasks and observations for tests without a simulator."""

from __future__ import annotations

import numpy as np
import pytest

from sim_bridge.types import (
    ActionSpec,
    ArraySpec,
    CameraSpec,
    JointSpec,
    Observation,
    SimSpec,
)


def arm_spec(control_mode: str = "joint_position", max_episode_steps: int = 20) -> SimSpec:
    """Two joints and a gripper that is commanded as a fraction of its range."""
    return SimSpec(
        simulator="test",
        simulator_version="1",
        task="Arm-v0",
        instruction="hold still",
        robot_entities=("arm",),
        base_frames=("arm/base",),
        joints=(
            JointSpec("arm/shoulder", True, -1.0, 1.0),
            JointSpec("arm/elbow", True, 0.5, 2.0),
            JointSpec("arm/gripper", True, -0.2, 1.8),
            JointSpec("door/hinge", True, -1.0, 1.0),
        ),
        action=ActionSpec(
            names=("shoulder", "elbow", "gripper"),
            low=np.array([-1.0, 0.5, 0.0]),
            high=np.array([1.0, 2.0, 1.0]),
            units=("rad", "rad", "1"),
            control_mode=control_mode,
        ),
        observations=(ArraySpec("goal", "float32", (2,), np.array([0.5]), np.array([2.0, 3.0])),),
        control_period_s=0.1,
        max_episode_steps=max_episode_steps,
        cameras=(CameraSpec("front", 8, 6, "front_optical", 5.0, 5.0, 4.0, 3.0),),
    )


def arm_observation(step: int = 0, episode: int = 1, elbow: float = 1.2) -> Observation:
    return Observation(
        time_s=0.1 * step,
        episode=episode,
        step=step,
        joint_names=("door/hinge", "arm/gripper", "arm/elbow", "arm/shoulder"),
        joint_positions=np.array([0.9, 0.8, elbow, -0.4]),
        joint_velocities=np.zeros(4),
    )


@pytest.fixture(name="arm_spec")
def _arm_spec():
    return arm_spec


@pytest.fixture(name="arm_observation")
def _arm_observation():
    return arm_observation
