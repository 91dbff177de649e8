"""``python -m policy_node.evaluate``: success rates."""

import sys

from policy_node.evaluate.run import main

if __name__ == "__main__":
    sys.exit(main())
