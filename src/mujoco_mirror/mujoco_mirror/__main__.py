"""``python -m mujoco_mirror``: the mirror."""

import sys

from mujoco_mirror.node.node import main

if __name__ == "__main__":
    sys.exit(main())
