"""Ask the C library to keep memory that has been freed, for the next tensor."""

from __future__ import annotations

import ctypes
import sys

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4  # glibc's malloc.h


def keep_freed_memory() -> bool:
    """Stop glibc from handing large blocks back to the system each time they are freed.

    A network on a CPU allocates and frees tensors of megabytes at every layer. By default each comes as fresh pages,
    which the system has to clear one by one: about a quarter of an ASTRAFier pass at 1,171 points. Afterwards the
    process keeps the most memory that it ever needed. For whole programs: the commands of ``goodricke`` do it; a
    library can't decide it for others.

    Returns
    -------
    bool
        False where the C library isn't glibc, and nothing has changed.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return all([mallopt(M_MMAP_MAX, 0), mallopt(M_TRIM_THRESHOLD, 2**31 - 1), mallopt(M_TOP_PAD, 2**28)])
