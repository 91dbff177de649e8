"""Runs the subset of ROS 2 launch XML that this workspace uses, where `launch` has no package.

``substitutions`` and ``resolve`` turn a file into commands and touch nothing; ``supervise`` runs
them; ``shared_memory`` removes what killed processes left behind.
"""
