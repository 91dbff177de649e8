"""Policies behind a model server, one protocol a file, with key maps between their names and
ours."""
