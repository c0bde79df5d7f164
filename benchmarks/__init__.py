"""What goodricke's speed is: measured as ratios, in one run, against plain implementations and the machine's limit.

::

    python -m benchmarks             # everything, a table on the terminal, results/*.json
    python -m benchmarks --tiny      # the same at toy sizes, to see that it runs
"""
