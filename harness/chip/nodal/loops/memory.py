"""Arrays that the loops work in: parts of memory that their caller hands in, so that they never ask for any.

A function cuts what it needs from the front of its memory, and hands what is left to the functions that it calls, which
need it no more when they return. `harness.chip.nodal.machine_code.intrinsics` says the same to a compiler, which takes
its functions in the place of these.
"""

import ctypes
import math
from typing import TypeVar

import numpy as np

from harness.measurement import Array, Index

Numbers = TypeVar("Numbers", Array, Index)
Shape = tuple[int, ...]


def cut(memory: Numbers, shape: Shape) -> tuple[Numbers, Numbers]:
    """Return an array of any numbers, ``[*shape]``, and the memory behind it."""
    size = math.prod(shape)
    return memory[:size].reshape(shape), memory[size:]


def reals(address: int, shape: Shape) -> Array:
    """Return the whole (C-contiguous) array of a shape that is at an address."""
    return np.ctypeslib.as_array(ctypes.cast(int(address), ctypes.POINTER(ctypes.c_double)), shape)


def wholes(address: int, shape: Shape) -> Index:
    """Return the whole (C-contiguous) array of whole numbers of a shape that is at an address."""
    return np.ctypeslib.as_array(ctypes.cast(int(address), ctypes.POINTER(ctypes.c_ssize_t)), shape)
