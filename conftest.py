"""For all tests: draw without a display, whichever test imports MuJoCo first."""

import os

os.environ.setdefault("MUJOCO_GL", "egl")
