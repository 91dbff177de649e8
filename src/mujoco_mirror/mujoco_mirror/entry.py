"""The programs of this package."""

from sim_bridge.entry import entry

film = entry("mujoco_mirror.recording.film")
fidelity = entry("mujoco_mirror.fidelity.check")
mirror = entry("mujoco_mirror.node.node")
monitor = entry("mujoco_mirror.monitor.node")
