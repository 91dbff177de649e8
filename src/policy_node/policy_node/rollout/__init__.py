"""Episodes: the one runner, the node that runs them on request, and recording one in this
process. Imports `execution` and `policies`."""
