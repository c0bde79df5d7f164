"""Run the command line with ``python -m goodricke``."""

from goodricke.cli import main

main()
