"""Many episodes on many bridges, with results that a later run goes on from. Imports `rollout`,
and never `node`."""
