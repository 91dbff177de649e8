"""Chunk execution: what happens between a policy and an environment, one strategy a file."""
