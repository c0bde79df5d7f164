"""A catalog in a browser: `goodricke explore`, its server (here) and its page (``static/``)."""
