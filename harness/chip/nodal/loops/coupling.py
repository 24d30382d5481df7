"""Conductances of networks as the loops of `harness.chip.nodal.loops.kernel` take them, which says what they are."""

from harness.measurement import Array, Index


def reciprocal(conductances: Array, unknowns: Index, networks: Index, count: int) -> bool:
    """Return whether `into` and `out` of these networks are the same conductances."""
    equal = True
    for k in range(1 if networks[0] == networks[-1] else len(networks)):
        siemens = conductances[networks[k]]
        for d in range(count):
            for a in range(count, len(unknowns)):
                equal = equal and siemens[unknowns[a], unknowns[d]] == siemens[unknowns[d], unknowns[a]]
    return equal


def coupled(
    conductances: Array,
    unknowns: Index,
    networks: Index,
    rest: Array,
    into: Array,
    out: Array,
    products: Array,
    own: Array,
) -> None:
    """Fill in `rest`, `into`, `out`, `products` and `own` of lanes of these networks."""
    (count, alone, kinds), lanes = into.shape, len(networks)
    for k in range(lanes):
        for a in range(alone):
            own[a, k] = conductances[networks[k], unknowns[count + a], unknowns[count + a]]
    for k in range(kinds):
        siemens = conductances[networks[k]]
        for d in range(count):
            for e in range(count):
                rest[e, d, k] = siemens[unknowns[d], unknowns[e]]
            for a in range(alone):
                into[d, a, k] = siemens[unknowns[count + a], unknowns[d]]
                out[a, d, k] = siemens[unknowns[d], unknowns[count + a]]
    symmetric = products.shape[1] < count * count
    for k in range(kinds):
        for a in range(alone):
            pair = 0
            for d in range(count):
                for e in range(d + 1 if symmetric else count):
                    products[a, pair, k] = out[a, d, k] * into[e, a, k]
                    pair += 1
