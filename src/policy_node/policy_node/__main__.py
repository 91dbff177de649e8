"""``python -m policy_node``: the policy node."""

import sys

from policy_node.node.node import main

if __name__ == "__main__":
    sys.exit(main())
