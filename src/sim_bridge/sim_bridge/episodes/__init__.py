"""An episode as it runs, whoever drives it, and what many of them say. Imports `types` alone."""
