"""Newton's method on many samples in step, in loops that Numba compiles (`harness.chip.nodal.compiled`).

The method is that of `harness.chip.nodal.batchwise`, which does it in NumPy: alone unknowns are solved each for itself,
the dense ones by Newton's method on what is left.

A lane is a sample of some network in some phase. Lanes are the last axis of arrays, over which every innermost loop
goes, so that a processor does several of them in one instruction. No lane looks at another one, so a sample's voltages
are the same bits in every batch and in every stack. Lanes that are settled wait, and do not move, until all are.

The functions are plain Python and run as such, too. Each calls only those above it, those of
`harness.chip.nodal.loops.newton`, or those of `harness.chip.nodal.loops.equations`. Arrays that many of them take,
where dense unknowns have the first numbers, then alone ones, then rails:

* `volts`: V of unknowns and rails, ``[n + rails, lanes]``. `count`: number of the dense ones.
* `rest`: S, among dense unknowns, ``[count, count, ·]``. `into`, `out`: S, from dense unknowns into alone ones,
  ``[count, alone, ·]``, and back, ``[alone, count, ·]``. `products`: of every pair of conductances from dense unknowns
  through an alone one, S², ``[alone, pairs, ·]``; where they are symmetric, those up to the diagonal. The last axis has
  the lanes, or one number where all are of one network.
* `own`: S of alone unknowns, ``[alone, lanes]``.
* `junctions`: number, anode and cathode of diodes, ``[·, 3]``. Those of the alone unknown a are ``begins[a]`` to
  ``begins[a + 1]``; those that are no alone unknown's (bridges) begin at ``begins[-1]``.
* `laws`: I_s (A) and N V_T (V) of every diode, ``[diodes, 2]``. `finest`: the least N V_T (V) of the diodes of every
  alone unknown.
* `wanted`, `excess`: A that is wanted at alone unknowns, and that is left over; `resistance`: Ω there; `known`: 1 where
  a small step says where the unknown is, else 0; all ``[alone, lanes]``.
* `bends`: V at which the tangents of bridges are taken, ``[bridges, lanes]``.
* `matrix`, `right`: Newton's equations (S, A), ``[size, size, lanes]``; `right` becomes the step (V).
* `active`: 1 for lanes that move, else 0. `going`, `chosen`, `room`: for one function, of every lane.
"""

import numpy as np

from harness.chip.nodal.loops.equations import limited
from harness.chip.nodal.loops.newton import SETTLED, UNSETTLED, newton
from harness.measurement import Array, Index

_MOST = 128  # lanes at once, whose arrays shall stay in a processor's cache
_MOST_OWN = 2**12  # numbers in `products` of a network up to which each lane may have a network of its own


def coupled(
    conductances: Array, unknowns: Index, networks: Index, count: int
) -> tuple[Array, Array, Array, Array, Array]:
    """Return `rest`, `into`, `out`, `products` and `own` of lanes of these networks."""
    lanes, alone, symmetric = len(networks), len(unknowns) - count, True
    kinds = 1 if networks[0] == networks[-1] else lanes
    rest, own = np.empty((count, count, kinds)), np.empty((alone, lanes))
    into, out = np.empty((count, alone, kinds)), np.empty((alone, count, kinds))
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
                symmetric = symmetric and into[d, a, k] == out[a, d, k]
    products = np.empty((alone, count * (count + 1) // 2 if symmetric else count * count, kinds))
    for k in range(kinds):
        for a in range(alone):
            pair = 0
            for d in range(count):
                for e in range(d + 1 if symmetric else count):
                    products[a, pair, k] = out[a, d, k] * into[e, a, k]
                    pair += 1
    return rest, into, out, products, own


def same(one: Array | Index, other: Array | Index) -> bool:
    """Return whether two rows of numbers are equal."""
    differ = len(one) != len(other)
    for k in range(min(len(one), len(other))):
        differ = differ or one[k] != other[k]
    return not differ


def begin(
    k: int,
    first: int,
    samples: int,
    unknowns: Index,
    begins: Index,
    junctions: Index,
    laws: Array,
    currents: Array,
    rails: Array,
    order: Index,
    solved: Array,
    amperes: Array,
    volts: Array,
    known: Array,
    bends: Array,
) -> None:
    """Begin phases from the k-th one in the order on, each in as many lanes as there are samples."""
    n, begun = len(unknowns), order[0, 1]
    for lane in range(volts.shape[1]):
        sample, inputs = first + lane % samples, order[k + lane // samples, 1]
        near = k > 0 and (inputs == begun or same(currents[inputs, sample], currents[begun, sample]))
        near = near and (inputs == begun or same(rails[inputs, sample], rails[begun, sample]))
        for i in range(n):
            amperes[i, lane] = currents[inputs, sample, unknowns[i]]
            volts[i, lane] = solved[sample, order[0, 0], unknowns[i]] if k else 0.0
        for i in range(n, len(volts)):
            volts[i, lane] = rails[inputs, sample, i - n]
        for a in range(len(known)):
            known[a, lane] = 1.0 if near else 0.0
        for j in range(len(bends)):
            diode, anode, cathode = junctions[begins[-1] + j]
            bends[j, lane] = volts[anode, lane] - volts[cathode, lane]
            if not near:
                bends[j, lane] = limited(bends[j, lane], 0.0, laws[diode, 0], laws[diode, 1])


def settle_phases(
    k: int,
    together: int,
    first: int,
    networks: Index,
    rest: Array,
    into: Array,
    out: Array,
    products: Array,
    own: Array,
    unknowns: Index,
    begins: Index,
    junctions: Index,
    outputs: Index,
    laws: Array,
    finest: Array,
    currents: Array,
    rails: Array,
    pushed: Array,
    clamped: Array,
    springs: Array,
    order: Index,
    tolerance: float,
    iterations: int,
    solved: Array,
    status: Index,
    failed: Index,
) -> None:
    """Settle so many phases together, from the k-th one in the order on; see `settle_block`.

    Samples that have not failed before are settled. `status` (one for each sample) and `failed` (how many phases of
    the order were begun up to the one that failed) are noted of those that fail.
    """
    n, samples, count = len(unknowns), len(networks), len(into)
    lanes = together * samples
    amperes, volts = np.empty((n, lanes)), np.empty((n + rails.shape[2], lanes))
    known, bends = np.empty((n - count, lanes)), np.empty((len(junctions) - begins[-1], lanes))
    pushes, clamps, spring = np.empty((len(outputs), lanes)), np.empty((len(outputs), lanes)), np.empty(lanes)
    active, found, each = np.empty(lanes, status.dtype), np.empty(lanes, status.dtype), np.empty((n - count, lanes))
    begin(
        k,
        first,
        samples,
        unknowns,
        begins,
        junctions,
        laws,
        currents,
        rails,
        order,
        solved,
        amperes,
        volts,
        known,
        bends,
    )
    for lane in range(lanes):
        sample, phase = lane % samples, order[k + lane // samples, 0]
        active[lane], found[lane] = 1 if status[sample] == SETTLED else 0, UNSETTLED
        spring[lane] = springs[phase, networks[sample]]
        for j in range(len(outputs)):
            pushes[j, lane], clamps[j, lane] = pushed[phase, first + sample, j], clamped[phase, first + sample, j]
        for a in range(n - count):
            each[a, lane] = own[a, sample]
    newton(
        rest,
        into,
        out,
        products,
        each,
        begins,
        junctions,
        outputs,
        laws,
        finest,
        amperes,
        pushes,
        clamps,
        spring,
        order[k, 2],
        tolerance,
        iterations,
        volts,
        known,
        bends,
        active,
        found,
    )
    for lane in range(lanes):
        sample, turn = lane % samples, lane // samples
        if status[sample] == SETTLED and found[lane] != SETTLED:
            status[sample], failed[sample] = found[lane], k + turn + 1
        for i in range(n):
            solved[first + sample, order[k + turn, 0], unknowns[i]] = volts[i, lane]


def settle_block(
    first: int,
    networks: Index,
    rest: Array,
    into: Array,
    out: Array,
    products: Array,
    own: Array,
    unknowns: Index,
    begins: Index,
    junctions: Index,
    outputs: Index,
    laws: Array,
    finest: Array,
    currents: Array,
    rails: Array,
    pushed: Array,
    clamped: Array,
    springs: Array,
    order: Index,
    tolerance: float,
    iterations: int,
    solved: Array,
) -> tuple[int, int, int]:
    """Settle samples from a first one on, one for each of these networks; see `settle`.

    All phases but the first are settled together as far as they fit and have one network: more lanes cost little.
    """
    samples, begun, together = len(networks), 0, 1
    status, failed = np.full_like(networks, SETTLED), np.zeros_like(networks)
    while begun < len(order):
        settle_phases(
            begun,
            together,
            first,
            networks,
            rest,
            into,
            out,
            products,
            own,
            unknowns,
            begins,
            junctions,
            outputs,
            laws,
            finest,
            currents,
            rails,
            pushed,
            clamped,
            springs,
            order,
            tolerance,
            iterations,
            solved,
            status,
            failed,
        )
        begun, together = begun + together, 1
        while (
            rest.shape[2] == 1
            and begun + together < len(order)
            and order[begun + together, 2] == order[begun, 2]
            and (together + 1) * samples <= _MOST
        ):
            together += 1
    for sample in range(samples):
        if failed[sample]:
            return status[sample], first + sample, order[failed[sample] - 1, 0]
    return SETTLED, 0, 0


def settle(
    unknowns: Index,
    begins: Index,
    junctions: Index,
    outputs: Index,
    laws: Array,
    conductances: Array,
    currents: Array,
    rails: Array,
    pushed: Array,
    clamped: Array,
    springs: Array,
    order: Index,
    tolerance: float,
    iterations: int,
    solved: Array,
) -> tuple[int, int, int]:
    """Settle all samples of some networks of one topology: as many of each, network after network.

    Args:
        unknowns: their numbers in the order of the loops, ``[n]``.
        begins: in the order of the loops, as above.
        junctions: see `begins`.
        outputs: plus and minus end of every output, ``[outputs, 2]``, in the order of the loops.
        laws: as above.
        conductances: S, ``[networks, n, n]``.
        currents: A, ``[inputs, samples, n]``.
        rails: V, ``[inputs, samples, rails]``.
        pushed: A, ``[phases, samples, outputs]``.
        clamped: V, ``[phases, samples, outputs]``; of phases whose outputs are not clamped, anything.
        springs: S, ``[phases, networks]``.
        order: phases in the order in which they are solved, ``[·, 3]``: number, number of the inputs, and 1 where
            outputs are clamped. The first one starts from 0 V, and the others from it.
        tolerance: V of the last step.
        iterations: the most.
        solved: V, ``[samples, phases, n]``; is filled.

    Returns:
        `SETTLED`, or what went wrong first, with its sample and phase.
    """
    count, each = len(unknowns) - len(begins) + 1, max(1, len(solved) // len(conductances))
    span = len(solved) if (len(unknowns) - count) * count * count <= _MOST_OWN else each
    blocks = max(1, (span + _MOST - 1) // _MOST)
    width = (span + 8 * blocks - 1) // (8 * blocks) * 8  # eight is a whole number of instructions
    finest = np.full(len(unknowns) - count, np.inf)
    for a in range(len(finest)):
        for j in range(begins[a], begins[a + 1]):
            finest[a] = min(finest[a], laws[junctions[j, 0], 1])
    before, rest, own = np.empty(0, begins.dtype), np.empty((0, 0, 0)), np.empty((0, 0))
    into, out, products = rest, rest, rest
    first = 0
    while first < len(solved):
        last = min(first + width, (first // span + 1) * span)
        networks = np.arange(first, last) // each
        if not same(networks, before):
            rest, into, out, products, own = coupled(conductances, unknowns, networks, count)
            before = networks
        found = settle_block(
            first,
            networks,
            rest,
            into,
            out,
            products,
            own,
            unknowns,
            begins,
            junctions,
            outputs,
            laws,
            finest,
            currents,
            rails,
            pushed,
            clamped,
            springs,
            order,
            tolerance,
            iterations,
            solved,
        )
        if found[0] != SETTLED:
            return found
        first = last
    return SETTLED, 0, 0
