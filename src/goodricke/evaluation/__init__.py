"""How good a classifier is: scores with their uncertainty, and figures."""
