"""Labelled light curves made from the physics and the published statistics of each class of variable star."""
