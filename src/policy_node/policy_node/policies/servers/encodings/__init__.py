"""How arrays travel to model servers."""
