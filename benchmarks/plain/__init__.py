"""Simple implementations of the networks from the papers: references for the speed of the package."""
