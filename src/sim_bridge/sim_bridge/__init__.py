"""Simulators on ROS 2, and what drives them from Python.

    from sim_bridge import RemoteEnv

The map, from programs down to data; each folder says more, and import-linter holds the arrows:

- ``bridge``: one simulator on the wire. ``remote``: a bridge on another machine.
  ``trajectories``: recorded episodes, and replaying them.
- ``client``: what drives a bridge. ``simulators``: what a bridge hosts. ``processes``: children.
- ``ros``: all that touches rclpy.
- ``types``, ``errors``, ``names``, ``files``, ``settings``: the ground floor: no ROS.

The names below are imported when they are first used. With Gymnasium, a running bridge is
``gymnasium.make("twinstep/Remote-v0", namespace="")``, and several are
``gymnasium.make_vec("twinstep/Remote-v0", num_envs=2)`` at env_0 and env_1.
"""

from typing import TYPE_CHECKING

from sim_bridge.client.registration import register_when_imported
from sim_bridge.door import door

if TYPE_CHECKING:
    from sim_bridge.client.env import RemoteEnv as RemoteEnv
    from sim_bridge.client.vector_env import RemoteVectorEnv as RemoteVectorEnv
    from sim_bridge.errors import BridgeError as BridgeError
    from sim_bridge.remote.host import RemoteHost as RemoteHost
    from sim_bridge.trajectories.trajectory import Trajectory as Trajectory
    from sim_bridge.types import Observation as Observation
    from sim_bridge.types import SimSpec as SimSpec
    from sim_bridge.types import SimState as SimState

_HOMES = {
    "RemoteEnv": "client.env",
    "RemoteVectorEnv": "client.vector_env",
    "RemoteHost": "remote.host",
    "SimState": "types",
    "SimSpec": "types",
    "Observation": "types",
    "Trajectory": "trajectories.trajectory",
    "BridgeError": "errors",
}
__all__ = list(_HOMES)
__getattr__ = door(__name__, _HOMES)

register_when_imported()
