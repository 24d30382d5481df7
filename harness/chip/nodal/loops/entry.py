"""The one function of the machine code that is called from outside: its arrays come as addresses and lengths."""

from harness.chip.nodal.loops.kernel import settle
from harness.chip.nodal.loops.memory import reals, wholes

ARRAYS, LENGTHS = 15, 13


def entry(call: int, tolerance: float, iterations: int) -> tuple[int, int, int]:
    """Settle as `harness.chip.nodal.loops.kernel.settle` does, and return what it returns.

    Args:
        call: address of the addresses of its arrays, in their order, and of lengths behind them: numbers of unknowns,
            begins, junctions, outputs, laws, networks, inputs, samples, rails, phases, phases in the order, and
            numbers in both memories.
        tolerance: V of the last step.
        iterations: the most.
    """
    at, length = wholes(call, (ARRAYS + LENGTHS,))[:ARRAYS], wholes(call, (ARRAYS + LENGTHS,))[ARRAYS:]
    n, outputs, networks, samples, phases = length[0], length[3], length[5], length[7], length[9]
    return settle(
        wholes(at[0], (n,)),
        wholes(at[1], (length[1],)),
        wholes(at[2], (length[2], 3)),
        wholes(at[3], (outputs, 2)),
        reals(at[4], (length[4], 2)),
        reals(at[5], (networks, n, n)),
        reals(at[6], (length[6], samples, n)),
        reals(at[7], (length[6], samples, length[8])),
        reals(at[8], (phases, samples, outputs)),
        reals(at[9], (phases, samples, outputs)),
        reals(at[10], (phases, networks)),
        wholes(at[11], (length[10], 3)),
        tolerance,
        iterations,
        reals(at[12], (samples, phases, n)),
        reals(at[13], (length[11],)),
        wholes(at[14], (length[12],)),
    )
