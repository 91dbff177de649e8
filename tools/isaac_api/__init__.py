"""Does every Isaac symbol that our files use exist in the published wheels? Read, never run."""
