"""The web monitor: a page with live video, plots and a few buttons, served on loopback. The
feed, the broadcast and the server are without ROS, and know nothing of the mirror."""
