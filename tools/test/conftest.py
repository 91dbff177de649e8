"""Lets tests import the tools, which are scripts beside packages and not installed."""

import sys
from pathlib import Path

FOLDER = Path(__file__).parent
sys.path[:0] = [str(FOLDER.parent), str(FOLDER)]
