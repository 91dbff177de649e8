"""All that touches rclpy and is not a program: calls, the service loop, messages, parameters,
and how programs begin and end. Only `wait_set` uses rclpy's private API. Imports the ground
floor alone."""
