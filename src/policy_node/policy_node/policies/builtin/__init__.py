"""Policies that need no model: the task's expert, holding still, a recorded episode, anyone's
own."""
