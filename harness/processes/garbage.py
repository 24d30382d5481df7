"""Python's search for objects that only refer to each other, which passes over all objects that there are."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

_SELDOM = 10


@contextmanager
def seldom_collected() -> Iterator[None]:
    """Have Python search a tenth as often, and a hundredth as often among old objects; as before at the end.

    Libraries bring hundreds of thousands of objects, which stay: searching them took a tenth of a short command's time.
    """
    young, middle, old = gc.get_threshold()
    gc.set_threshold(_SELDOM * young, middle, _SELDOM * old)
    try:
        yield
    finally:
        gc.set_threshold(young, middle, old)


@contextmanager
def kept() -> Iterator[None]:
    """Let Python look for no garbage while it imports, and never again among what is there then: all of it stays.

    Looking takes a tenth of the time of an import, and as much again in every later search.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if collecting:
            gc.enable()
