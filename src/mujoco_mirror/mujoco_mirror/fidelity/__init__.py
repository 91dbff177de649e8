"""How far the mirror's links are from the simulator's. Imports `model`; only the program `check`
may load a simulator, to compare with."""
