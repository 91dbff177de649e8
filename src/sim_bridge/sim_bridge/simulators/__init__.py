"""One file per simulator; each imports its engine only when it is chosen (see ``registry``)."""

import os
import sys

# MuJoCo settles on an OpenGL backend when it is imported, and takes one that needs a display
# unless told otherwise.
if sys.platform == "linux" and not os.environ.get("DISPLAY"):
    os.environ.setdefault("MUJOCO_GL", "egl")
