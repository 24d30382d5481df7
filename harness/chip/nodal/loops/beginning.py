"""Where the lanes of `harness.chip.nodal.loops.kernel`, which says what its arrays are, begin."""

from harness.chip.nodal.loops.equations import limited
from harness.measurement import Array, Index


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
            bridge = begins[-1] + j
            diode, anode, cathode = junctions[bridge, 0], junctions[bridge, 1], junctions[bridge, 2]
            bends[j, lane] = volts[anode, lane] - volts[cathode, lane]
            if not near:
                bends[j, lane] = limited(bends[j, lane], 0.0, laws[diode, 0], laws[diode, 1])
