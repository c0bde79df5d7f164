"""The networks, one module each, and the folder format of models."""
