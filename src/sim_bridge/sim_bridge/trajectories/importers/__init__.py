"""Trajectories of other projects, one format a file. No ROS, no simulator."""
