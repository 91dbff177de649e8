"""A bridge that keeps to the wall clock: paced steps, joint targets by topic. `core`, `pacer`
and `command_slot` are without ROS."""
