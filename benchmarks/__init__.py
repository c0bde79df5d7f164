"""What goodricke's speed is: measured as ratios, in one run, against plain implementations and the machine's limit.

::

    python -m benchmarks                     # everything, to the terminal and benchmarks/results/ (JSON and Markdown)
    python -m benchmarks --only forward      # one of multiband, forward, passes, training, workers, preprocessing, ...
    python -m benchmarks --threads 2         # of PyTorch; ratios then go by wall time
    python -m benchmarks --tiny              # the same at toy sizes, to see that it runs
"""
