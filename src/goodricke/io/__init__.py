"""From files to `LightCurves`: one module per product, chosen by what a file holds and not by what it is called.

>>> from goodricke.io import read  # doctest: +SKIP
>>> read("tess2018206045859-s0001-0000000358108509-0120-s_lc.fits")  # doctest: +SKIP
LightCurves(1 objects, 18101 observations, bands TESS, value in electron / s, time in BTJD)
"""

from goodricke.io.files import find
from goodricke.io.in_memory import as_light_curves
from goodricke.io.labels import read_labels
from goodricke.io.options import ReadOptions, Unreadable
from goodricke.io.products import READERS, Reader, recognise
from goodricke.io.reading import read, read_batches

__all__ = [
    "READERS",
    "ReadOptions",
    "Reader",
    "Unreadable",
    "as_light_curves",
    "find",
    "read",
    "read_batches",
    "read_labels",
    "recognise",
]
