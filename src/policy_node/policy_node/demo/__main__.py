"""``python -m policy_node.demo``: the demo's client."""

import sys

from policy_node.demo.client import main

if __name__ == "__main__":
    sys.exit(main())
