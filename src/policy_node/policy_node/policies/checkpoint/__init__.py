"""Policies from a file: its formats, and what runs them (ONNX or PyTorch)."""
