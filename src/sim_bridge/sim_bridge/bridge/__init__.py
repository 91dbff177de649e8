"""One simulator on the wire: session, services, publishers, cameras. Imports `ros` and
`simulators`, never `client`: the two ends know nothing of each other."""
