"""What a network has to beat: statistics of light curves, and forests on them."""
