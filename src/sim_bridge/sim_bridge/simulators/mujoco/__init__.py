"""MJCF scenes in MuJoCo, and what the other engines use of it to read models."""
