"""Set-up of the workspace: the environment, its packages and the build. Standard library only."""
