"""Recorded episodes: the file, the recorder, and replaying them. Imports `client` to drive a
bridge; `trajectory` and `importers` are without ROS."""
