"""Lets tests import the tools, which are scripts beside packages and not installed."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
