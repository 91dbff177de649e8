"""What `tools/doctor` looks at. Standard library only; what needs ROS runs in its environment."""
