"""Calibrated probabilities, prediction sets and novelty."""
