"""The same policy for clients without ROS, one protocol a file."""
