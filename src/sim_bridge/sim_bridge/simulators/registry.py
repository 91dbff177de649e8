"""Simulators by name; each is imported only when it is chosen."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from sim_bridge.errors import NotFound, unknown
from sim_bridge.simulators.protocol import Simulator

_SIMULATORS = {
    "gymnasium": "sim_bridge.simulators.gymnasium.simulator:GymnasiumSimulator",
    "mujoco": "sim_bridge.simulators.mujoco.simulator:MujocoSimulator",
    "isaac_lab": "sim_bridge.simulators.isaac_lab.simulator:IsaacLabSimulator",
    "synthetic": "sim_bridge.simulators.synthetic:SyntheticSimulator",
    "isaac_sim": "sim_bridge.simulators.isaac_sim.simulator:open_isaac_sim",
    "sapien": "sim_bridge.simulators.sapien.simulator:SapienSimulator",
}


def simulator_names() -> tuple[str, ...]:
    return tuple(_SIMULATORS)


def open_simulator(name: str, task: str, **options: Any) -> Simulator:
    """Import and construct. NotFound for an unknown name or a missing package."""
    if name not in _SIMULATORS:
        raise unknown("simulator", name, _SIMULATORS)
    module, _, attribute = _SIMULATORS[name].partition(":")
    try:
        factory: Callable[..., Simulator] = getattr(importlib.import_module(module), attribute)
    except ModuleNotFoundError as error:
        raise NotFound(f"simulator {name!r} needs the Python module {error.name!r}") from error
    return factory(task, **options)
