"""Newton's method on many samples in step, in loops that Numba compiles (`harness.chip.nodal.machine_code`).

The method is that of `harness.chip.nodal.batchwise`, which does it in NumPy: alone unknowns are solved each for itself,
the dense ones by Newton's method on what is left.

A lane is a sample of some network in some phase. Lanes are the last axis of arrays, over which every innermost loop
goes, so that a processor does several of them in one instruction. No lane looks at another one, so a sample's voltages
are the same bits in every batch and in every stack. Lanes that are settled wait, and do not move, until all are.

The functions are plain Python and run as such, too. Each calls only those above it, or those of other modules beside
this one. They work in memory that is handed to them (`harness.chip.nodal.loops.memory`). Arrays that many of them take,
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

from harness.chip.nodal.loops.beginning import begin
from harness.chip.nodal.loops.coupling import coupled, reciprocal
from harness.chip.nodal.loops.memory import cut
from harness.chip.nodal.loops.newton import SETTLED, UNSETTLED, newton
from harness.measurement import Array, Index

_MOST = 128  # lanes at once, whose arrays shall stay in a processor's cache
_MOST_OWN = 2**12  # numbers in `products` of a network up to which each lane may have a network of its own


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
    memory: Array,
    numbers: Index,
) -> None:
    """Settle so many phases together, from the k-th one in the order on; see `settle_block`.

    Samples that have not failed before are settled. `status` (one for each sample) and `failed` (how many phases of
    the order were begun up to the one that failed) are noted of those that fail.
    """
    n, samples, count = len(unknowns), len(networks), len(into)
    lanes = together * samples
    amperes, memory = cut(memory, (n, lanes))
    volts, memory = cut(memory, (n + rails.shape[2], lanes))
    known, memory = cut(memory, (n - count, lanes))
    each, memory = cut(memory, (n - count, lanes))
    bends, memory = cut(memory, (len(junctions) - begins[-1], lanes))
    pushes, memory = cut(memory, (len(outputs), lanes))
    clamps, memory = cut(memory, (len(outputs), lanes))
    spring, memory = cut(memory, (lanes,))
    active, numbers = cut(numbers, (lanes,))
    found, numbers = cut(numbers, (lanes,))
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
        memory,
        numbers,
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
    memory: Array,
    numbers: Index,
) -> tuple[int, int, int]:
    """Settle samples from a first one on, one for each of these networks; see `settle`.

    All phases but the first are settled together as far as they fit and have one network: more lanes cost little.
    """
    samples, begun, together = len(networks), 0, 1
    status, numbers = cut(numbers, (samples,))
    failed, numbers = cut(numbers, (samples,))
    status[:], failed[:] = SETTLED, 0
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
            memory,
            numbers,
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


def needed(
    count: int, alone: int, others: tuple[int, int, int], networks: int, samples: int, phases: int
) -> tuple[int, int]:
    """Return how many numbers, and how many whole ones, `settle` needs to work in, or some more.

    Args:
        count: of dense unknowns.
        alone: number of alone ones.
        others: numbers of rails, outputs and bridges.
        networks: their number.
        samples: of all of them.
        phases: that are settled.
    """
    rails, outputs, bridges = others
    lanes = min(_MOST, samples * max(1, phases - 1))
    kinds = lanes if networks > 1 and alone * count * count <= _MOST_OWN else 1
    pairs, size = count * count, count + outputs
    fixed = alone + kinds * (pairs + 2 * count * alone + alone * pairs)
    phase = 2 * (count + alone) + rails + 2 * alone + bridges + 2 * outputs + 1
    newton = 4 * alone + size * size + size + pairs + 5 + 1
    return fixed + lanes * (alone + phase + newton), 6 * lanes


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
    memory: Array,
    numbers: Index,
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
        memory: to work in, as many as `needed` says.
        numbers: the same, of whole numbers.

    Returns:
        `SETTLED`, or what went wrong first, with its sample and phase.
    """
    count, each = len(unknowns) - len(begins) + 1, max(1, len(solved) // len(conductances))
    span = len(solved) if (len(unknowns) - count) * count * count <= _MOST_OWN else each
    blocks = max(1, (span + _MOST - 1) // _MOST)
    width = (span + 8 * blocks - 1) // (8 * blocks) * 8  # eight is a whole number of instructions
    finest, memory = cut(memory, (len(unknowns) - count,))
    finest[:] = np.inf
    for a in range(len(finest)):
        for j in range(begins[a], begins[a + 1]):
            finest[a] = min(finest[a], laws[junctions[j, 0], 1])
    first, pairs, before, width_before = 0, 0, -1, 0
    while first < len(solved):
        last = min(first + width, (first // span + 1) * span)
        networks, others = cut(numbers, (last - first,))
        for k in range(len(networks)):
            networks[k] = (first + k) // each
        one = networks[0] == networks[-1]
        kinds = 1 if one else len(networks)
        anew = not one or networks[0] != before or len(networks) != width_before
        before, width_before = networks[-1], len(networks) if one else 0
        if anew:
            symmetric = reciprocal(conductances, unknowns, networks, count)
            pairs = count * (count + 1) // 2 if symmetric else count * count
        rest, left = cut(memory, (count, count, kinds))
        into, left = cut(left, (count, len(finest), kinds))
        out, left = cut(left, (len(finest), count, kinds))
        products, left = cut(left, (len(finest), pairs, kinds))
        own, left = cut(left, (len(finest), len(networks)))
        if anew:
            coupled(conductances, unknowns, networks, rest, into, out, products, own)
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
            left,
            others,
        )
        if found[0] != SETTLED:
            return found
        first = last
    return SETTLED, 0, 0
