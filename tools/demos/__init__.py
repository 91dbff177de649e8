"""The demo in each simulator, with tasks and policies of all kinds: for a test and a picture."""
