"""A circuit that stays loaded in ngspice from sweep to sweep: its netlist, and the values that change."""

from dataclasses import dataclass
from functools import cached_property

from harness.measurement import Array
from harness.units import spice_number

SOURCE = "vpoint"
"""Source that is swept over the points of a `LoadedCircuit`; nothing in the circuit depends on it."""
_GAINS_A_COMMAND = 18
"""Alterations in one command, which may have 1,023 characters."""


@dataclass(frozen=True, eq=False)
class Table:
    """Values of all external sources, ``[points, columns]``, V or A; made for one sweep."""

    first: Array
    """In the first iteration of each point."""
    then: Array
    """In all others."""


@dataclass(frozen=True, eq=False)
class LoadedCircuit:
    """A circuit that stays loaded from sweep to sweep; see `Session.sweep`.

    Two of them are the same where their lines are.
    """

    lines: tuple[str, ...]
    """Its netlist, with sources ``i0``, ``v1`` … of which a `Table` has the values, and `SOURCE`, which is swept."""
    gains: tuple[str, ...]
    """Names of the transconductances that are set before every sweep."""
    nodes: tuple[str, ...]
    """Nodes whose voltages are read at every point; the netlist saves these alone."""

    def same(self, other: "LoadedCircuit") -> bool:
        """Return whether another circuit is the same."""
        return self is other or self.lines == other.lines

    @cached_property
    def alterations(self) -> tuple[tuple[str, slice], ...]:
        """Commands that set the gains, numbers left open, and which of the gains each of them sets."""
        alters = [f"alter @{name}[gain]=%.17g" for name in self.gains]  # all digits, a third faster than the fewest
        cuts = [slice(k, k + _GAINS_A_COMMAND) for k in range(0, len(alters), _GAINS_A_COMMAND)]
        return tuple((";".join(alters[cut]), cut) for cut in cuts)

    def alone(self, gains: Array, values: Array) -> tuple[str, ...]:
        """The netlist of one point by itself, for ngspice's own command line; values are V or A, ``[columns]``."""
        conductances = dict(zip(self.gains, gains.tolist(), strict=True))
        lines = [line for line in self.lines if not line.startswith(f"{SOURCE} ")]
        found = []
        for line in lines:
            name, *rest = line.split(" ")
            if rest[-1:] == ["external"]:
                found.append(" ".join([name, *rest[:-1], spice_number(values[int(name[1:])])]))
            elif name in conductances:
                found.append(" ".join([name, *rest[:-1], spice_number(conductances[name])]))
            else:
                found.append(line)
        return (*found[:-1], ".op", ".end")
