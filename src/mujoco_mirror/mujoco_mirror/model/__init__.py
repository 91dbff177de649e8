"""From names to addresses to MjData: states in, link poses out. Without ROS and without
pictures."""
