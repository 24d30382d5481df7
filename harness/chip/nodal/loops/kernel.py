"""Newton's method on many samples in step, in loops that Numba compiles (`harness.chip.nodal.compiled`).

The method is that of `harness.chip.nodal.batchwise`, which does it in NumPy: alone unknowns are solved each for itself,
the dense ones by Newton's method on what is left.

A lane is a sample of some network. Lanes are the last axis of arrays, over which every innermost loop goes, so that a
processor does several of them in one instruction. No lane looks at another one, so a sample's voltages are the same
bits in every batch and in every stack. Lanes that are settled wait, and do not move, until all are.

The functions are plain Python and run as such, too. Each calls only those above it, or those of
`harness.chip.nodal.loops.equations`. Arrays that many of them take, where dense unknowns have the first numbers, then
alone ones, then rails:

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

from harness.chip.nodal.loops.equations import (
    TRUSTED,
    add_alone,
    add_bridges,
    add_clamps,
    add_linear,
    add_nudges,
    limited,
    roots,
    solve_alone,
    subtract,
)
from harness.measurement import Array, Index

SETTLED, UNSETTLED, SINGULAR = 0, 1, 2
_MOST = 128  # lanes at once, whose arrays shall stay in a processor's cache
_MOST_OWN = 2**12  # numbers in `products` of a network up to which each lane may have a network of its own


def pivots(step: int, matrix: Array, right: Array, size: int, chosen: Index, room: Array) -> None:
    """Bring the largest number that is left of a column to its diagonal, in every lane, and find one over it."""
    lanes, moved = right.shape[1], 0
    for k in range(lanes):
        room[0, k], chosen[k] = abs(matrix[step, step, k]), step
    for i in range(step + 1, size):
        for k in range(lanes):
            larger = abs(matrix[i, step, k]) > room[0, k]
            chosen[k] = i if larger else chosen[k]
            room[0, k] = abs(matrix[i, step, k]) if larger else room[0, k]
    for k in range(lanes):
        moved += chosen[k] != step
    if moved:
        for k in range(lanes):
            i = chosen[k]
            if i != step:
                right[step, k], right[i, k] = right[i, k], right[step, k]
                for j in range(step, size):
                    matrix[step, j, k], matrix[i, j, k] = matrix[i, j, k], matrix[step, j, k]
    for k in range(lanes):
        room[1, k] = 1 / matrix[step, step, k]


def solve(matrix: Array, right: Array, size: int, active: Index, status: Index, chosen: Index, room: Array) -> None:
    """Solve the first equations in place, with partial pivoting; lanes where they are singular end."""
    lanes = right.shape[1]
    for step in range(size):
        pivots(step, matrix, right, size, chosen, room)
        for k in range(lanes):
            if room[0, k] == 0 and active[k] != 0:
                active[k], status[k] = 0, SINGULAR
        for i in range(step + 1, size):
            for k in range(lanes):
                room[2, k] = matrix[i, step, k] * room[1, k]
                right[i, k] -= room[2, k] * right[step, k]
            for j in range(step + 1, size):
                for k in range(lanes):
                    matrix[i, j, k] -= room[2, k] * matrix[step, j, k]
    for i in range(size - 1, -1, -1):
        for j in range(i + 1, size):
            for k in range(lanes):
                right[i, k] -= matrix[i, j, k] * right[j, k]
        for k in range(lanes):
            right[i, k] /= matrix[i, i, k]


def move(
    into: Array,
    begins: Index,
    junctions: Index,
    laws: Array,
    finest: Array,
    active: Index,
    volts: Array,
    excess: Array,
    resistance: Array,
    known: Array,
    bends: Array,
    right: Array,
    farthest: Array,
) -> None:
    """Take the steps of active lanes, and note their sizes (V).

    A size is infinite where a bridge's next tangent is not taken at its voltage.
    """
    (count, alone, _), lanes = into.shape, volts.shape[1]
    for k in range(lanes):
        farthest[k] = 0.0
    for d in range(count):
        for k in range(lanes):
            size = abs(right[d, k])
            farthest[k] = farthest[k] if size <= farthest[k] else size  # which may be no number
            volts[d, k] = volts[d, k] + right[d, k] if active[k] != 0 else volts[d, k]
    subtract(into, right, excess)
    for a in range(alone):
        for k in range(lanes):
            step = excess[a, k] * resistance[a, k]
            size = abs(step)
            volts[count + a, k] = volts[count + a, k] + step if active[k] != 0 else volts[count + a, k]
            known[a, k] = 1.0 if size <= TRUSTED * finest[a] else 0.0
            farthest[k] = farthest[k] if size <= farthest[k] else size
    for j in range(len(bends)):
        diode, anode, cathode = junctions[begins[-1] + j]
        for k in range(lanes):
            if active[k] != 0:
                reached = volts[anode, k] - volts[cathode, k]
                bends[j, k] = limited(reached, bends[j, k], laws[diode, 0], laws[diode, 1])
                farthest[k] = farthest[k] if bends[j, k] == reached else np.inf


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


def newton(
    rest: Array,
    into: Array,
    out: Array,
    products: Array,
    own: Array,
    begins: Index,
    junctions: Index,
    outputs: Index,
    laws: Array,
    finest: Array,
    currents: Array,
    pushed: Array,
    clamped: Array,
    springs: Array,
    held: int,
    tolerance: float,
    iterations: int,
    volts: Array,
    known: Array,
    bends: Array,
    active: Index,
    status: Index,
) -> None:
    """Iterate from `volts` until a step is within the tolerance (V) in every active lane; fill `status`."""
    (count, alone, _), lanes = into.shape, volts.shape[1]
    size = count + len(outputs) if held else count
    wanted, excess, resistance = np.empty((alone, lanes)), np.zeros((alone, lanes)), np.zeros((alone, lanes))
    matrix, right, farthest = np.empty((size, size, lanes)), np.empty((size, lanes)), np.empty(lanes)
    steady = np.empty((alone, lanes))
    pairs, room, going = np.empty((products.shape[1], lanes)), np.empty((5, lanes)), np.empty_like(active)
    for _ in range(iterations):
        add_linear(rest, into, currents, volts, wanted, matrix, right)
        for a in range(alone):
            unknown = 0
            for k in range(lanes):
                unknown += known[a, k] == 0 and active[k] != 0
            if unknown:
                roots(a, count + a, own, begins, junctions, laws, wanted, known, active, volts, room)
            node = count + a
            solve_alone(
                a, node, own, begins, junctions, laws, active, wanted, excess, resistance, volts, going, room, finest[a]
            )
        add_alone(out, products, excess, resistance, volts, matrix, right, steady, pairs)
        add_bridges(begins[-1], junctions, laws, volts, bends, matrix, right, count, room)
        add_nudges(outputs, springs, pushed, volts, matrix, right, count, room)
        if held:
            add_clamps(outputs, clamped, volts, matrix, right, count, room)
        solve(matrix, right, size, active, status, going, room)
        move(into, begins, junctions, laws, finest, active, volts, excess, resistance, known, bends, right, farthest)
        left = 0
        for k in range(lanes):
            if active[k] != 0 and farthest[k] <= tolerance:
                active[k], status[k] = 0, SETTLED
            left += active[k]
        if left == 0:
            break


def same(one: Array | Index, other: Array | Index) -> bool:
    """Return whether two rows of numbers are equal."""
    differ = len(one) != len(other)
    for k in range(min(len(one), len(other))):
        differ = differ or one[k] != other[k]
    return not differ


def begin(
    k: int,
    first: int,
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
    """Begin the phase that is the k-th one in the order, in all lanes from a first sample on."""
    n, inputs, begun = len(unknowns), order[k, 1], order[0, 1]
    for lane in range(volts.shape[1]):
        sample = first + lane
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
    """Settle samples from a first one on, one for each of these networks; see `settle`."""
    n, lanes, count = len(unknowns), len(networks), len(into)
    amperes, volts = np.empty((n, lanes)), np.empty((n + rails.shape[2], lanes))
    known, bends = np.empty((n - count, lanes)), np.empty((len(junctions) - begins[-1], lanes))
    pushes, clamps, spring = np.empty((len(outputs), lanes)), np.empty((len(outputs), lanes)), np.empty(lanes)
    active, status = np.empty_like(networks), np.full_like(networks, SETTLED)
    failed = np.zeros_like(networks)
    for k in range(len(order)):
        phase, _, held = order[k]
        begin(k, first, unknowns, begins, junctions, laws, currents, rails, order, solved, amperes, volts, known, bends)
        for lane in range(lanes):
            active[lane] = 1 if status[lane] == SETTLED else 0
            status[lane] = UNSETTLED if active[lane] else status[lane]
            spring[lane] = springs[phase, networks[lane]]
            for j in range(len(outputs)):
                pushes[j, lane], clamps[j, lane] = pushed[phase, first + lane, j], clamped[phase, first + lane, j]
        newton(
            rest,
            into,
            out,
            products,
            own,
            begins,
            junctions,
            outputs,
            laws,
            finest,
            amperes,
            pushes,
            clamps,
            spring,
            held,
            tolerance,
            iterations,
            volts,
            known,
            bends,
            active,
            status,
        )
        for lane in range(lanes):
            failed[lane] = failed[lane] if failed[lane] or status[lane] == SETTLED else k + 1
            for i in range(n):
                solved[first + lane, phase, unknowns[i]] = volts[i, lane]
    for lane in range(lanes):
        if failed[lane]:
            return status[lane], first + lane, order[failed[lane] - 1, 0]
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
