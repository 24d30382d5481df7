"""Newton's equations of many samples in step, which `harness.chip.nodal.loops.kernel` solves.

Each function fills or adds to a part of them. Lanes, and the arrays that many functions take, are described there.
"""

import math

import numpy as np

from harness.chip.nodal.loops.elementary import conducted, exponential, logarithm
from harness.devices.diode import GMIN
from harness.measurement import Array, Index

TRUSTED = 0.1  # of N V_T: a step this small predicts an alone unknown
_MAX_INNER = 60
_LEAST_EXPONENT = -600.0


def limited(new: float, old: float, saturation: float, scale: float) -> float:
    """Return the voltage (V) of a junction's next tangent: that of `harness.devices.diode.JunctionLaw.limited`."""
    critical = scale * math.log(scale / (math.sqrt(2) * saturation))
    if not (new > critical and abs(new - old) > 2 * scale):
        return new
    if old <= 0:
        return scale * math.log(max(new, 1e-300) / scale)
    grown = 1 + (new - old) / scale
    return old + scale * math.log(grown) if grown > 0 else critical


def subtract(siemens: Array, source: Array, target: Array) -> None:
    """Subtract products with numbers of the source, whose rows are the first axis, from rows of the target, the second.

    Rows of the source are taken four at a time, so that each number of the target is fetched a quarter as often.
    """
    (count, rows, kinds), lanes = siemens.shape, source.shape[1]
    fours = count // 4 * 4
    for r in range(rows):
        for j in range(0, fours, 4):
            if kinds == 1:
                a, b, c, d = siemens[j, r, 0], siemens[j + 1, r, 0], siemens[j + 2, r, 0], siemens[j + 3, r, 0]
                for k in range(lanes):
                    first = a * source[j, k] + b * source[j + 1, k]
                    target[r, k] -= first + (c * source[j + 2, k] + d * source[j + 3, k])
            else:
                for k in range(lanes):
                    first = siemens[j, r, k] * source[j, k] + siemens[j + 1, r, k] * source[j + 1, k]
                    second = siemens[j + 2, r, k] * source[j + 2, k] + siemens[j + 3, r, k] * source[j + 3, k]
                    target[r, k] -= first + second
        for j in range(fours, count):
            for k in range(lanes):
                target[r, k] -= siemens[j, r, k if kinds > 1 else 0] * source[j, k]


def add_linear(
    rest: Array, into: Array, currents: Array, volts: Array, wanted: Array, matrix: Array, right: Array
) -> None:
    """Begin with what is linear: conductances among the dense unknowns, and currents into all of them."""
    count, lanes = len(rest), volts.shape[1]
    for d in range(count):
        for k in range(lanes):
            right[d, k] = currents[d, k]
        for e in range(count):
            for k in range(lanes):
                matrix[d, e, k] = rest[e, d, k if rest.shape[2] > 1 else 0]
    for a in range(len(wanted)):
        for k in range(lanes):
            wanted[a, k] = currents[count + a, k]
    subtract(rest, volts, right)
    subtract(into, volts, wanted)


def roots(
    a: int,
    node: int,
    own: Array,
    begins: Index,
    junctions: Index,
    laws: Array,
    wanted: Array,
    known: Array,
    active: Index,
    volts: Array,
    room: Array,
) -> None:
    """Begin with the alone unknown a in lanes where it is not known, to a fraction of N V_T.

    One of its diodes at most is taken to conduct; the others have −I_s. With s = N V_T and p = G s / I_s, one junction
    in series with a conductance G takes v = s y of a voltage f, which it would have with −I_s too, where
    p y + e^y = p f / s; for w = e^y / p this is w + ln w = f / s − ln p.
    """
    first, last, lanes = begins[a], begins[a + 1], volts.shape[1]
    shelf = 0.0
    for k in range(lanes):
        room[0, k] = wanted[a, k]
    for j in range(first, last):
        shelf = laws[junctions[j, 0], 0] if junctions[j, 1] == node else -laws[junctions[j, 0], 0]
        for k in range(lanes):
            room[0, k] += shelf
    for k in range(lanes):
        room[0, k] /= own[a, k] + GMIN
        room[1, k], room[2, k], room[3, k], room[4, k] = -np.inf, 1.0, 1.0, 0.0
    for j in range(first, last):
        saturation, scale = laws[junctions[j, 0], 0], laws[junctions[j, 0], 1]
        falls = junctions[j, 1] == node
        held = junctions[j, 2] if falls else junctions[j, 1]
        sign = 1.0 if falls else -1.0
        for k in range(lanes):
            over = sign * (room[0, k] - volts[held, k]) / scale
            better = over > room[1, k]
            room[2, k] = scale if better else room[2, k]
            room[3, k] = saturation if better else room[3, k]
            room[4, k] = sign if better else room[4, k]
            room[1, k] = over if better else room[1, k]
    for k in range(lanes):
        ratio = (own[a, k] + GMIN) * room[2, k] / room[3, k]
        total = room[1, k] - logarithm(ratio)
        total = total if total > _LEAST_EXPONENT else _LEAST_EXPONENT
        w = exponential(total if total < 1 else 1.0)
        w = total if total > 1 else w
        w *= (1 + total - logarithm(w)) / (1 + w)
        w *= (1 + total - logarithm(w)) / (1 + w)
        found = room[0, k] - room[4, k] * (room[2, k] * w)
        volts[node, k] = found if known[a, k] == 0 and active[k] != 0 else volts[node, k]


def tangents(
    a: int,
    node: int,
    own: Array,
    begins: Index,
    junctions: Index,
    laws: Array,
    wanted: Array,
    volts: Array,
    room: Array,
) -> None:
    """Find current (A) and slope (S) of what the diodes and the resistors of the alone unknown a take."""
    lanes = volts.shape[1]
    for k in range(lanes):
        room[0, k], room[1, k] = 0.0, own[a, k]
    for j in range(begins[a], begins[a + 1]):
        saturation, scale = laws[junctions[j, 0], 0], laws[junctions[j, 0], 1]
        falls = junctions[j, 1] == node
        held = junctions[j, 2] if falls else junctions[j, 1]
        sign = 1.0 if falls else -1.0
        for k in range(lanes):
            through, steep = conducted(sign * (volts[node, k] - volts[held, k]), saturation, scale)
            room[0, k] += sign * through
            room[1, k] += steep
    for k in range(lanes):
        room[2, k] = wanted[a, k] - own[a, k] * volts[node, k] - room[0, k]
        room[3, k] = room[2, k] / room[1, k]


def solve_alone(
    a: int,
    node: int,
    own: Array,
    begins: Index,
    junctions: Index,
    laws: Array,
    active: Index,
    wanted: Array,
    excess: Array,
    resistance: Array,
    volts: Array,
    going: Index,
    room: Array,
    finest: float,
) -> None:
    """Solve own · u + diode currents = wanted for one alone unknown, until tangents are good enough."""
    lanes, left = volts.shape[1], 0
    for k in range(lanes):
        going[k] = active[k]
    for inner in range(_MAX_INNER, 0, -1):
        tangents(a, node, own, begins, junctions, laws, wanted, volts, room)
        trusted = TRUSTED * finest if inner > 1 else np.inf
        left = 0
        for k in range(lanes):
            excess[a, k] = room[2, k] if going[k] != 0 else excess[a, k]
            resistance[a, k] = 1 / room[1, k] if going[k] != 0 else resistance[a, k]
            going[k] = 0 if abs(room[3, k]) <= trusted else going[k]
            left += going[k]
        if left == 0 or inner == 1:
            break
        for k in range(lanes):
            if going[k] != 0:
                step = room[3, k]
                if abs(step) > 2 * finest:  # a logarithmic step, so that no exponential overflows
                    step = math.copysign(finest * math.log1p(abs(step) / finest), step)
                volts[node, k] += step


def add_alone(
    out: Array,
    products: Array,
    excess: Array,
    resistance: Array,
    volts: Array,
    matrix: Array,
    right: Array,
    steady: Array,
    pairs: Array,
) -> None:
    """Add the alone unknowns: the currents that they send into the others, and their Schur complement."""
    (alone, count, _), lanes = out.shape, volts.shape[1]
    for a in range(alone):
        for k in range(lanes):
            steady[a, k] = volts[count + a, k] + excess[a, k] * resistance[a, k]
    subtract(out, steady, right)
    pairs[:] = 0.0
    subtract(products, resistance, pairs)
    pair, symmetric = 0, len(pairs) < count * count
    for d in range(count):
        for e in range(d + 1 if symmetric else count):
            for k in range(lanes):
                matrix[d, e, k] += pairs[pair, k]
                if symmetric and e < d:
                    matrix[e, d, k] += pairs[pair, k]
            pair += 1


def add_between(matrix: Array, right: Array, siemens: Array, amperes: Array, plus: int, minus: int, count: int) -> None:
    """Add conductances between two ends to the matrix, and currents into the first and out of the second."""
    for k in range(len(siemens)):
        if plus < count:
            matrix[plus, plus, k] += siemens[k]
            right[plus, k] += amperes[k]
        if minus < count:
            matrix[minus, minus, k] += siemens[k]
            right[minus, k] -= amperes[k]
        if plus < count and minus < count:
            matrix[plus, minus, k] -= siemens[k]
            matrix[minus, plus, k] -= siemens[k]


def add_bridges(
    begin: int,
    junctions: Index,
    laws: Array,
    volts: Array,
    bends: Array,
    matrix: Array,
    right: Array,
    count: int,
    room: Array,
) -> None:
    """Add the tangents of the bridges."""
    for j in range(len(bends)):
        diode, anode, cathode = junctions[begin + j, 0], junctions[begin + j, 1], junctions[begin + j, 2]
        saturation, scale = laws[diode, 0], laws[diode, 1]
        for k in range(volts.shape[1]):
            current, slope = conducted(bends[j, k], saturation, scale)
            room[0, k] = slope
            room[1, k] = -(current + slope * (volts[anode, k] - volts[cathode, k] - bends[j, k]))
        add_between(matrix, right, room[0], room[1], anode, cathode, count)


def add_nudges(
    outputs: Index, springs: Array, pushed: Array, volts: Array, matrix: Array, right: Array, count: int, room: Array
) -> None:
    """Add springs (S) and pushed currents (A) at the outputs."""
    for j in range(len(outputs)):
        plus, minus = outputs[j, 0], outputs[j, 1]
        for k in range(len(springs)):
            room[0, k] = pushed[j, k] - springs[k] * (volts[plus, k] - volts[minus, k])
        add_between(matrix, right, springs, room[0], plus, minus, count)


def add_clamps(
    outputs: Index, clamped: Array, volts: Array, matrix: Array, right: Array, count: int, room: Array
) -> None:
    """Add an equation, and a current that is unknown, for every output's voltage (V)."""
    lanes, unit = volts.shape[1], room[0]
    for k in range(lanes):
        unit[k] = 0.0
    for d in range(count):
        for e in range(count):
            for k in range(lanes):
                unit[k] = max(unit[k], abs(matrix[d, e, k]))
    for k in range(lanes):
        unit[k] = unit[k] if unit[k] > 0 else 1.0  # rows and columns of one size: no digits are lost
    for j in range(len(outputs)):
        plus, minus = outputs[j, 0], outputs[j, 1]
        row = count + j
        for k in range(lanes):
            for e in range(len(right)):
                matrix[row, e, k] = matrix[e, row, k] = 0.0
            right[row, k] = unit[k] * (clamped[j, k] - (volts[plus, k] - volts[minus, k]))
            if plus < count:
                matrix[row, plus, k] = matrix[plus, row, k] = unit[k]
            if minus < count:
                matrix[row, minus, k] -= unit[k]
                matrix[minus, row, k] -= unit[k]
