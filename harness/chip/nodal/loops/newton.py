"""Newton's iteration of many samples in step, of which `harness.chip.nodal.loops.kernel` says what its arrays are."""

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
from harness.chip.nodal.loops.memory import cut
from harness.measurement import Array, Index

SETTLED, UNSETTLED, SINGULAR = 0, 1, 2


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
        bridge = begins[-1] + j
        diode, anode, cathode = junctions[bridge, 0], junctions[bridge, 1], junctions[bridge, 2]
        for k in range(lanes):
            if active[k] != 0:
                reached = volts[anode, k] - volts[cathode, k]
                bends[j, k] = limited(reached, bends[j, k], laws[diode, 0], laws[diode, 1])
                farthest[k] = farthest[k] if bends[j, k] == reached else np.inf


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
    memory: Array,
    numbers: Index,
) -> None:
    """Iterate from `volts` until a step is within the tolerance (V) in every active lane; fill `status`."""
    (count, alone, _), lanes = into.shape, volts.shape[1]
    size = count + len(outputs) if held else count
    wanted, memory = cut(memory, (alone, lanes))
    excess, memory = cut(memory, (alone, lanes))
    resistance, memory = cut(memory, (alone, lanes))
    steady, memory = cut(memory, (alone, lanes))
    matrix, memory = cut(memory, (size, size, lanes))
    right, memory = cut(memory, (size, lanes))
    pairs, memory = cut(memory, (products.shape[1], lanes))
    room, memory = cut(memory, (5, lanes))
    farthest, memory = cut(memory, (lanes,))
    going, numbers = cut(numbers, (lanes,))
    excess[:], resistance[:] = 0.0, 0.0
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
