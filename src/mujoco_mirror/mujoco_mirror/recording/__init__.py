"""Videos and files of what was shown. Imports `drawing`, `fidelity`, `model` and `sources`."""
