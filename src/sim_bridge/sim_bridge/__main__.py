"""``python -m sim_bridge``: the bridge."""

import sys

from sim_bridge.bridge.node import main

if __name__ == "__main__":
    sys.exit(main())
