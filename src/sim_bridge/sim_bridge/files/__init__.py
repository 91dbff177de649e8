"""What is read from and written to files: models, results, and formats that must not run code.
Imports `errors` alone."""
