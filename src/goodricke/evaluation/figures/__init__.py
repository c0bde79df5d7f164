"""Figures of scores, classes and light curves."""
