"""``python -m policy_node.rollout``: the rollout node."""

import sys

from policy_node.rollout.node import main

if __name__ == "__main__":
    sys.exit(main())
