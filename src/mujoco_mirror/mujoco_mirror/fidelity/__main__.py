"""``python -m mujoco_mirror.fidelity``: does the mirror show what the simulator has."""

import sys

from mujoco_mirror.fidelity.check import main

if __name__ == "__main__":
    sys.exit(main())
