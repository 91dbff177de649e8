"""Set-up of the Isaac environment: Python 3.12, Isaac Lab, the ROS 2 wheels, our workspace."""
