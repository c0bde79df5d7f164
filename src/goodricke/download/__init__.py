"""From archives on the network straight into packed shards: the one room that needs a network."""
