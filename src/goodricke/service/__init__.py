"""The REST interface: light curves in as JSON or files, classes out as JSON."""
