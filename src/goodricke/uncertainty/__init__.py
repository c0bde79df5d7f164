"""How far an answer can be trusted: Monte-Carlo dropout and calibration."""
