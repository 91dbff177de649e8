"""Scenes in Isaac Sim, with its renderer. Imports Isaac only once a scene is opened."""
