"""`make demo`: one episode on a running graph, and a report of it."""
