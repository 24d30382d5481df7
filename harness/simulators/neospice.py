"""neospice, a simulator in a Python package (PyPI ``neospice``), where it is installed."""

import re
from importlib import metadata, util

import numpy as np

from harness.errors import SimulatorError
from harness.measurement import Array
from harness.netlist.dialects import Dialect
from harness.simulators.base import TOLERANCES, Deck, sampled

_MOST_LINES = 30_000
"""8,000 take 2 s, 160,000 more than 3 minutes."""
_PARAMETER = re.compile(r"\.param (\w+)=(\S+)")
_NAMED = re.compile(r"\{(\w+)\}$")


class Neospice:
    """Reads the dialect of ngspice.

    It takes numbers only at controlled sources, so parameters come to it by value.
    """

    name = "neospice"
    searched = "Python package neospice"

    def version(self) -> str | None:  # noqa: D102 - said once, on the protocol
        return metadata.version("neospice") if util.find_spec("neospice") else None

    def reads(self, dialect: Dialect) -> bool:  # noqa: D102
        return dialect.name == "ngspice"

    def volts(self, deck: Deck) -> Array:  # noqa: D102
        import neospice  # noqa: PLC0415 - optional

        lines = list(deck.network())
        if len(lines) > _MOST_LINES:
            raise SimulatorError(f"neospice is too slow for {len(lines):,} lines (at most {_MOST_LINES:,})")
        values = {found[1]: found[2] for line in lines if (found := _PARAMETER.fullmatch(line))}
        text = "\n".join(["* a package's testbench", *(_valued(line, values) for line in lines), ".end", ""])
        bounds = {"reltol": TOLERANCES.reltol, "vntol": TOLERANCES.vntol, "abstol": TOLERANCES.abstol}
        try:
            result = neospice.transient(text, tstep=deck.step, tstop=deck.stop, **bounds)
            volts = np.column_stack([np.asarray(result.voltage(net)) for net in deck.nets])
        except (RuntimeError, ValueError, KeyError, IndexError) as error:
            raise SimulatorError(f"neospice failed: {error}") from error
        return sampled(np.asarray(result.time), volts, deck.times)


def _valued(line: str, values: dict[str, str]) -> str:
    return _NAMED.sub(lambda found: values.get(found.group(1), found.group()), line)
