"""What to show while states are late: hold, interpolate, predict. Imports `model` alone."""
