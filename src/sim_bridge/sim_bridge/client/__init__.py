"""What drives a bridge from Python: single calls, one Gymnasium environment, several at once.
Imports `ros`, never `bridge`."""
