"""Let the C library keep freed memory for the next tensor."""

from __future__ import annotations

import ctypes
import sys

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4  # glibc's malloc.h


def keep_freed_memory() -> bool:
    """Stop glibc from handing large blocks back to the system each time they are freed.

    A network on a CPU allocates and frees tensors of megabytes at every layer. By default each gets new pages, which
    the system has to clear: about a quarter of an ASTRAFier pass at 1,171 points. With this setting the process keeps
    its largest amount of memory. It concerns the whole process, so only the commands of ``goodricke`` call it.

    Returns
    -------
    bool
        False if the C library isn't glibc; nothing changes then.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return all([mallopt(M_MMAP_MAX, 0), mallopt(M_TRIM_THRESHOLD, 2**31 - 1), mallopt(M_TOP_PAD, 2**28)])
