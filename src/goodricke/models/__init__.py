"""The networks, one file each, and the folder format they are kept in."""
