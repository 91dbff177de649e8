"""What people choose: options and parameters, checked, and the parts that other packages bring.
Imports `errors` alone."""
