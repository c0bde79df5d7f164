"""Baselines of networks: random forests on features of light curves, and the mixture of experts."""
