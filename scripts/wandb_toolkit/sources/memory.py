"""Memory that is given back when it is free: allocators keep large pieces for each of several threads otherwise."""

from __future__ import annotations

import sys
from contextlib import suppress

_MMAP_THRESHOLD = -3  # mallopt's name for it, in glibc
_LARGE = 1 << 20  # bytes


def give_back_large() -> None:
    """Have large pieces of memory given back to the system as soon as they are free, from now on.

    glibc raises its own limit for that with each large piece that is freed, up to 32 MB: downloads of some megabytes in
    several threads then leave their holes in as many heaps. Other allocators are left as they are.
    """
    if sys.platform.startswith("linux"):
        import ctypes

        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).mallopt(_MMAP_THRESHOLD, _LARGE)
