"""Training: recipes, labels, splits by star, one fit per family of networks, and calibration."""
