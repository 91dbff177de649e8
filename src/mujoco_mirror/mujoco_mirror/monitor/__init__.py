"""The web monitor: a page with live video, plots and a few buttons, served on loopback."""
