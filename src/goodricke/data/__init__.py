"""Light curves, predictions, and what all rooms need to handle them."""
