"""Newton's method on one sample at a time, in loops that Numba compiles (`harness.chip.nodal.compiled`).

The method is that of `harness.chip.nodal.batchwise`, which does it in NumPy for a whole batch: alone unknowns are
solved each for itself, the dense ones by Newton's method on what is left. Nothing here looks at two samples, so a
sample's voltages are the same bits in every batch.

The functions are plain Python and run as such, too. Each calls only those above it, and the law of the diodes, which is
the very function that the rest of the package calls. Arrays that many of them take, where dense unknowns have the
first numbers, then alone ones, then rails:

* `volts`: V of unknowns and rails. `count`: number of the dense ones.
* `conductance`: S, ``[n, n]``. `into`: from dense unknowns into alone ones, S, ``[count, alone]``. `out`: from alone
  unknowns into dense ones, S, ``[alone, count]``. `products`: of every pair of conductances from dense unknowns through
  an alone one, S², ``[alone, pairs]``; where they are symmetric, those up to the diagonal.
* `junctions`: number, anode and cathode of diodes, ``[·, 3]``. Those of the alone unknown a are ``begins[a]`` to
  ``begins[a + 1]``; those that are no alone unknown's (bridges) begin at ``begins[-1]``.
* `laws`: I_s (A) and N V_T (V) of every diode, ``[diodes, 2]``.
* `cells`: what is known of alone unknowns, ``[5, alone]``: the current that is wanted and the one that is left over
  (A), resistance (Ω), the least N V_T of the diodes (V), and 1 where a small step says where the unknown is, else 0.
* `bends`: V at which the tangents of bridges are taken.
* `matrix`, `right`: Newton's equations (S, A); `right` becomes the step (V).
"""

import math

import numpy as np

from harness.devices.diode import GMIN, current_and_slope
from harness.measurement import Array, Index

SETTLED, UNSETTLED, SINGULAR = 0, 1, 2
_WANTED, _EXCESS, _RESISTANCE, _FINEST, _KNOWN = 0, 1, 2, 3, 4
_MAX_INNER = 60
_LEAST_EXPONENT = -600.0
_TRUSTED = 0.1  # of N V_T: a step this small predicts an alone unknown


def limited(new: float, old: float, saturation: float, scale: float) -> float:
    """Return the voltage (V) of a junction's next tangent: that of `harness.devices.diode.JunctionLaw.limited`."""
    critical = scale * math.log(scale / (math.sqrt(2) * saturation))
    if not (new > critical and abs(new - old) > 2 * scale):
        return new
    if old <= 0:
        return scale * math.log(max(new, 1e-300) / scale)
    grown = 1 + (new - old) / scale
    return old + scale * math.log(grown) if grown > 0 else critical


def root(
    wanted: float, own: float, first: int, last: int, junctions: Index, laws: Array, node: int, volts: Array
) -> float:
    """Return the voltage (V) of an alone unknown if one of its diodes at most conducts, to a fraction of N V_T.

    The others have −I_s. With s = N V_T and p = G s / I_s, one junction in series with a conductance G takes v = s y of
    a voltage f, which it would have with −I_s too, where p y + e^y = p f / s; for w = e^y / p this is
    w + ln w = f / s − ln p.
    """
    conductance = own + GMIN  # an unknown that only diodes hold
    for k in range(first, last):
        wanted += laws[junctions[k, 0], 0] if junctions[k, 1] == node else -laws[junctions[k, 0], 0]
    linear = wanted / conductance
    if first == last:
        return linear
    volts[node] = linear
    chosen, forward = first, -np.inf
    for k in range(first, last):
        over = (volts[junctions[k, 1]] - volts[junctions[k, 2]]) / laws[junctions[k, 0], 1]
        if over > forward:
            chosen, forward = k, over
    scale = laws[junctions[chosen, 0], 1]
    ratio = conductance * scale / laws[junctions[chosen, 0], 0]
    total = max(forward - math.log(ratio), _LEAST_EXPONENT)
    w = total if total > 1 else math.exp(total)  # right at both ends
    for _ in range(2):
        w *= (1 + total - math.log(w)) / (1 + w)
    return linear - scale * w if junctions[chosen, 1] == node else linear + scale * w


def solve_alone(
    a: int, node: int, own: float, begins: Index, junctions: Index, laws: Array, volts: Array, cells: Array
) -> None:
    """Solve own · u + diode currents = wanted for one alone unknown, until a tangent is good enough."""
    first, last, wanted, finest = begins[a], begins[a + 1], cells[_WANTED, a], cells[_FINEST, a]
    if cells[_KNOWN, a] == 0:
        volts[node] = root(wanted, own, first, last, junctions, laws, node, volts)
    excess, slope = 0.0, own
    for left in range(_MAX_INNER, 0, -1):
        current, slope = 0.0, own
        for k in range(first, last):
            diode = junctions[k, 0]
            over = volts[junctions[k, 1]] - volts[junctions[k, 2]]
            through, steep = current_and_slope(over, laws[diode, 0], laws[diode, 1])
            current += float(through if junctions[k, 1] == node else -through)
            slope += float(steep)
        excess = wanted - own * volts[node] - current
        step = excess / slope
        if left == 1 or abs(step) <= _TRUSTED * finest:
            break
        if abs(step) > 2 * finest:  # a logarithmic step, so that no exponential overflows
            step = math.copysign(finest * math.log1p(abs(step) / finest), step)
        volts[node] += step
    cells[_EXCESS, a], cells[_RESISTANCE, a] = excess, 1 / slope


def add_linear(conductance: Array, currents: Array, volts: Array, matrix: Array, right: Array, count: int) -> None:
    """Begin the equations with what is linear: conductances among the dense unknowns, and currents into them."""
    for d in range(count):
        left = currents[d]
        for e in range(count):
            left -= conductance[d, e] * volts[e]
            matrix[d, e] = conductance[d, e]
        right[d] = left


def add_alone(
    conductance: Array,
    into: Array,
    out: Array,
    currents: Array,
    begins: Index,
    junctions: Index,
    laws: Array,
    volts: Array,
    cells: Array,
    right: Array,
) -> None:
    """Solve the alone unknowns, and add the currents that they send into the others."""
    count, alone = into.shape
    for a in range(alone):
        cells[_WANTED, a] = currents[count + a]
    for d in range(count):
        for a in range(alone):
            cells[_WANTED, a] -= into[d, a] * volts[d]
    for a in range(alone):
        node = count + a
        solve_alone(a, node, conductance[node, node], begins, junctions, laws, volts, cells)
        steady = volts[node] + cells[_EXCESS, a] * cells[_RESISTANCE, a]
        for d in range(count):
            right[d] -= out[a, d] * steady


def add_products(products: Array, cells: Array, pairs: Array, matrix: Array, count: int) -> None:
    """Add the Schur complement of the alone unknowns to the matrix; `pairs` is room for it.

    Rows are added four at a time, so that each number of the sum is fetched a quarter as often.
    """
    rows, fours, size = len(products), len(products) // 4 * 4, len(pairs)
    for k in range(size):
        pairs[k] = 0.0
    for a in range(0, fours, 4):
        p, q = cells[_RESISTANCE, a], cells[_RESISTANCE, a + 1]
        r, s = cells[_RESISTANCE, a + 2], cells[_RESISTANCE, a + 3]
        for k in range(size):
            first, second = p * products[a, k] + q * products[a + 1, k], r * products[a + 2, k] + s * products[a + 3, k]
            pairs[k] += first + second
    for a in range(fours, rows):
        p = cells[_RESISTANCE, a]
        for k in range(size):
            pairs[k] += p * products[a, k]
    k, symmetric = 0, size < count * count
    for d in range(count):
        for e in range(d + 1 if symmetric else count):
            matrix[d, e] -= pairs[k]
            if symmetric and e < d:
                matrix[e, d] -= pairs[k]
            k += 1


def add_between(matrix: Array, right: Array, siemens: float, amperes: float, plus: int, minus: int, count: int) -> None:
    """Add a conductance between two ends to the matrix, and a current into the first and out of the second."""
    if plus < count:
        matrix[plus, plus] += siemens
        right[plus] += amperes
    if minus < count:
        matrix[minus, minus] += siemens
        right[minus] -= amperes
    if plus < count and minus < count:
        matrix[plus, minus] -= siemens
        matrix[minus, plus] -= siemens


def add_bridges(
    begin: int, junctions: Index, laws: Array, volts: Array, bends: Array, matrix: Array, right: Array, count: int
) -> None:
    """Add the tangents of the bridges."""
    for k in range(len(bends)):
        diode, anode, cathode = junctions[begin + k]
        current, slope = current_and_slope(bends[k], laws[diode, 0], laws[diode, 1])
        tangent = current + slope * (volts[anode] - volts[cathode] - bends[k])
        add_between(matrix, right, float(slope), -float(tangent), anode, cathode, count)


def add_nudges(
    outputs: Index, spring: float, pushed: Array, volts: Array, matrix: Array, right: Array, count: int
) -> None:
    """Add springs (S) and pushed currents (A) at the outputs."""
    for k in range(len(outputs)):
        plus, minus = outputs[k]
        amperes = pushed[k] - spring * (volts[plus] - volts[minus])
        add_between(matrix, right, spring, amperes, plus, minus, count)


def add_clamps(outputs: Index, clamped: Array, volts: Array, matrix: Array, right: Array, count: int) -> None:
    """Add an equation, and a current that is unknown, for every output's voltage (V)."""
    unit = 0.0
    for d in range(count):
        for e in range(count):
            unit = max(unit, abs(matrix[d, e]))
    unit = unit if unit > 0 else 1.0  # rows and columns of one size: no digits are lost
    for k in range(len(outputs)):
        plus, minus = outputs[k]
        row = count + k
        for e in range(len(right)):
            matrix[row, e] = matrix[e, row] = 0.0
        right[row] = unit * (clamped[k] - (volts[plus] - volts[minus]))
        if plus < count:
            matrix[row, plus] = matrix[plus, row] = unit
        if minus < count:
            matrix[row, minus] -= unit
            matrix[minus, row] -= unit


def solve(matrix: Array, right: Array, size: int) -> bool:
    """Solve the first equations in place, with partial pivoting; return False if they are singular."""
    for k in range(size):
        pivot, largest = k, abs(matrix[k, k])
        for i in range(k + 1, size):
            if abs(matrix[i, k]) > largest:
                pivot, largest = i, abs(matrix[i, k])
        if largest == 0:
            return False
        if pivot != k:
            right[k], right[pivot] = right[pivot], right[k]
            for j in range(k, size):
                matrix[k, j], matrix[pivot, j] = matrix[pivot, j], matrix[k, j]
        inverse = 1 / matrix[k, k]
        for i in range(k + 1, size):
            factor = matrix[i, k] * inverse
            if factor != 0:
                right[i] -= factor * right[k]
                for j in range(k + 1, size):
                    matrix[i, j] -= factor * matrix[k, j]
    for i in range(size - 1, -1, -1):
        total = right[i]
        for j in range(i + 1, size):
            total -= matrix[i, j] * right[j]
        right[i] = total / matrix[i, i]
    return True


def move(
    into: Array, begins: Index, junctions: Index, laws: Array, volts: Array, cells: Array, bends: Array, right: Array
) -> float:
    """Take the step; return its size (V), infinite where a bridge's next tangent is not taken at its voltage."""
    farthest, (count, alone) = 0.0, into.shape
    for d in range(count):
        volts[d] += right[d]
        farthest = farthest if abs(right[d]) <= farthest else abs(right[d])  # which may be no number
        for a in range(alone):
            cells[_EXCESS, a] -= into[d, a] * right[d]
    for a in range(alone):
        step = cells[_EXCESS, a] * cells[_RESISTANCE, a]
        volts[count + a] += step
        cells[_KNOWN, a] = 1.0 if abs(step) <= _TRUSTED * cells[_FINEST, a] else 0.0
        farthest = farthest if abs(step) <= farthest else abs(step)
    for k in range(len(bends)):
        diode, anode, cathode = junctions[begins[-1] + k]
        reached = volts[anode] - volts[cathode]
        bends[k] = limited(reached, bends[k], laws[diode, 0], laws[diode, 1])
        if bends[k] != reached:
            farthest = np.inf
    return farthest


def coupled(conductance: Array, count: int) -> tuple[Array, Array, Array]:
    """Return `into`, `out` and `products` of a network."""
    alone, symmetric = len(conductance) - count, True
    into, out = np.empty((count, alone)), np.empty((alone, count))
    for a in range(alone):
        for d in range(count):
            into[d, a], out[a, d] = conductance[count + a, d], conductance[d, count + a]
            symmetric = symmetric and into[d, a] == out[a, d]
    products = np.empty((alone, count * (count + 1) // 2 if symmetric else count * count))
    for a in range(alone):
        k = 0
        for d in range(count):
            for e in range(d + 1 if symmetric else count):
                products[a, k] = out[a, d] * into[e, a]
                k += 1
    return into, out, products


def finest_of(begins: Index, junctions: Index, laws: Array, cells: Array) -> None:
    """Look for the least N V_T (V) of every alone unknown's diodes; infinite where it has none."""
    for a in range(cells.shape[1]):
        cells[_FINEST, a] = np.inf
        for k in range(begins[a], begins[a + 1]):
            cells[_FINEST, a] = min(cells[_FINEST, a], laws[junctions[k, 0], 1])


def newton(
    conductance: Array,
    into: Array,
    out: Array,
    products: Array,
    begins: Index,
    junctions: Index,
    outputs: Index,
    laws: Array,
    currents: Array,
    pushed: Array,
    clamped: Array,
    spring: float,
    held: int,
    near: int,
    tolerance: float,
    iterations: int,
    volts: Array,
    cells: Array,
    bends: Array,
    pairs: Array,
    matrix: Array,
    right: Array,
) -> int:
    """Iterate from `volts` until a step is within the tolerance (V).

    Outputs are clamped where `held` is not 0. Where `near` is 0, the start is not taken to say where things will be.
    """
    count = len(into)
    cells[_KNOWN] = near
    for k in range(len(bends)):
        diode, anode, cathode = junctions[begins[-1] + k]
        bends[k] = volts[anode] - volts[cathode]
        if not near:
            bends[k] = limited(bends[k], 0.0, laws[diode, 0], laws[diode, 1])
    for _ in range(iterations):
        add_linear(conductance, currents, volts, matrix, right, count)
        add_alone(conductance, into, out, currents, begins, junctions, laws, volts, cells, right)
        add_products(products, cells, pairs, matrix, count)
        add_bridges(begins[-1], junctions, laws, volts, bends, matrix, right, count)
        add_nudges(outputs, spring, pushed, volts, matrix, right, count)
        if held:
            add_clamps(outputs, clamped, volts, matrix, right, count)
        if not solve(matrix, right, len(right) if held else count):
            return SINGULAR
        if move(into, begins, junctions, laws, volts, cells, bends, right) <= tolerance:
            return SETTLED
    return UNSETTLED


def same(one: int, other: int, sample: int, currents: Array, rails: Array) -> bool:
    """Return whether a sample has the same currents and rails in both inputs."""
    if one == other:
        return True
    differ = 0
    for k in range(currents.shape[2]):
        differ += currents[one, sample, k] != currents[other, sample, k]
    for k in range(rails.shape[2]):
        differ += rails[one, sample, k] != rails[other, sample, k]
    return differ == 0


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
    n, count = len(unknowns), len(unknowns) - len(begins) + 1
    each = max(1, len(solved) // len(conductances))
    conductance, amperes, volts = np.empty((n, n)), np.empty(n), np.empty(n + rails.shape[2])
    cells, bends = np.empty((5, n - count)), np.empty(len(junctions) - begins[-1])
    matrix, right = np.empty((count + len(outputs), count + len(outputs))), np.empty(count + len(outputs))
    into, out, products, pairs = np.empty((0, 0)), np.empty((0, 0)), np.empty((0, 0)), np.empty(0)
    finest_of(begins, junctions, laws, cells)
    for sample in range(len(solved)):
        network = sample // each
        if sample % each == 0:
            for i in range(n):
                for j in range(n):
                    conductance[i, j] = conductances[network, unknowns[i], unknowns[j]]
            into, out, products = coupled(conductance, count)
            pairs = np.empty(products.shape[1])
        for k in range(len(order)):
            phase, inputs, held = order[k]
            near = 1 if k and same(inputs, order[0, 1], sample, currents, rails) else 0
            for i in range(n):
                amperes[i] = currents[inputs, sample, unknowns[i]]
                volts[i] = solved[sample, order[0, 0], unknowns[i]] if k else 0.0
            volts[n:] = rails[inputs, sample]
            status = newton(
                conductance,
                into,
                out,
                products,
                begins,
                junctions,
                outputs,
                laws,
                amperes,
                pushed[phase, sample],
                clamped[phase, sample],
                springs[phase, network],
                held,
                near,
                tolerance,
                iterations,
                volts,
                cells,
                bends,
                pairs,
                matrix,
                right,
            )
            if status != SETTLED:
                return status, sample, phase
            for i in range(n):
                solved[sample, phase, unknowns[i]] = volts[i]
    return SETTLED, 0, 0
