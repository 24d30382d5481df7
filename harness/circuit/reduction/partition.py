"""Choice of the variables that a Schur complement removes: those whose elimination leaves less to solve."""

from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_matrix, csr_matrix
from scipy.sparse.csgraph import connected_components

from harness.measurement import Index

Mask = npt.NDArray[np.bool_]
_WORTH = 4  # conductances that an unknown may cost
_MANY = 1_000  # unknowns: matrices of what is left are dense


def eliminated(edges: Index, stays: Mask) -> Mask:
    """The variables to eliminate, of those that may go.

    What may go falls into parts. A part becomes conductances between all pairs of the variables around it, which pays
    if they are hardly more than its own; lines of an array, each a part, share what is around
    them, so that what does not pay alone is tried together. More than a thousand unknowns go wherever they outnumber
    what is around them.

    `edges` are pairs of variables that some conductance joins, ``[edges, 2]``, `stays` those that must stay. The last
    answers are kept: chips that were made alike ask the same.
    """
    return _eliminated(edges.astype(np.intp).tobytes(), stays.tobytes())


@lru_cache(maxsize=8)
def _eliminated(pairs: bytes, staying: bytes) -> Mask:
    edges, stays = np.frombuffer(pairs, np.intp).reshape(-1, 2), np.frombuffer(staying, bool)
    inner = edges[~stays[edges].any(axis=1)]
    _, component = connected_components(_graph(inner, len(stays), len(stays)), directed=False)
    part = np.where(stays, -1, component).astype(np.intp)
    gone = _worthwhile(edges, part)
    rest = np.where(gone, -1, part)
    around = _around(edges, rest)
    rows, columns = around.nonzero()
    joined = np.column_stack([rows, columns + around.shape[0]]).astype(np.intp)
    _, group = connected_components(_graph(joined, sum(around.shape), sum(around.shape)), directed=False)
    together = np.where(rest < 0, -1, group[rest]).astype(np.intp)
    found = gone | _worthwhile(edges, together)
    found.flags.writeable = False
    return found


def _worthwhile(edges: Index, part: Index) -> Mask:
    """Return the variables of the parts (−1 for what stays) whose elimination pays, ``[variables]``."""
    count, inside = int(part.max(initial=0)) + 1, part >= 0
    members = np.bincount(part[inside], minlength=count)
    touching = np.bincount(part[edges].max(axis=1, initial=-1)[inside[edges].any(axis=1)], minlength=count)
    boundary = _around(edges, part).getnnz(axis=1)
    fill = boundary * (boundary - 1) // 2
    goes = (fill <= touching + _WORTH * members) | ((members > _MANY) & (members > boundary))
    return np.asarray(inside & goes[part])


def _around(edges: Index, part: Index) -> csr_matrix:
    """Return a matrix with 1 where a variable that stays is beside a part, ``[parts, variables]``."""
    both = np.concatenate([edges, edges[:, ::-1]])
    leaving = both[(part[both[:, 0]] >= 0) & (part[both[:, 1]] < 0)]
    pairs = np.unique(np.column_stack([part[leaving[:, 0]], leaving[:, 1]]), axis=0)
    return csr_matrix(_graph(pairs, int(part.max(initial=0)) + 1, len(part)))


def _graph(pairs: Index, rows: int, columns: int) -> coo_matrix:
    return coo_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(rows, columns))
