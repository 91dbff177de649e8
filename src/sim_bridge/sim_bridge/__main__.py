"""``python -m sim_bridge``: the bridge."""

import sys

from sim_bridge.entry import sim_bridge

if __name__ == "__main__":
    sys.exit(sim_bridge())
