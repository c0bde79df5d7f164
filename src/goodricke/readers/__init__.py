"""From files to `LightCurves`: one module per product, chosen by what a file holds and not by what it is called.

>>> from goodricke.readers import read  # doctest: +SKIP
>>> read("tess2018206045859-s0001-0000000358108509-0120-s_lc.fits")  # doctest: +SKIP
LightCurves(1 objects, 18101 observations, bands TESS, value in electron / s, time in BTJD)
"""

from goodricke.readers.finding import find
from goodricke.readers.frames import light_curves_of
from goodricke.readers.labels import read_labels
from goodricke.readers.options import ReadOptions, Unreadable
from goodricke.readers.registry import READERS, Reader, recognise
from goodricke.readers.streaming import read, read_batches

__all__ = [
    "READERS",
    "ReadOptions",
    "Reader",
    "Unreadable",
    "find",
    "light_curves_of",
    "read",
    "read_batches",
    "read_labels",
    "recognise",
]
