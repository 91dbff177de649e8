"""Writes docs/reference from the sources: one module a page."""
