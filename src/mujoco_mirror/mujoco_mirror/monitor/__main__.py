"""``python -m mujoco_mirror.monitor``: the web monitor."""

import sys

from mujoco_mirror.monitor.node import main

if __name__ == "__main__":
    sys.exit(main())
