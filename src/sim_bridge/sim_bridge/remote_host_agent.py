"""The far agent's old name, for near sides of 0.1; it goes with the next release."""

import sys

from sim_bridge.remote.agent import main

if __name__ == "__main__":
    sys.exit(main())
