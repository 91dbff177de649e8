"""MJCF scenes in SAPIEN (PhysX on the CPU). Reads them with `simulators.mujoco`."""
