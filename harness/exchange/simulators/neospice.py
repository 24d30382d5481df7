"""neospice, a simulator in a Python package (PyPI ``neospice``), where it is installed."""

import re
from collections.abc import Sequence
from importlib import metadata, util

import numpy as np
from typing_extensions import override

from harness.errors import SimulatorError
from harness.exchange.simulators.base import Deck, Simulator, sampled
from harness.exchange.simulators.child import in_child
from harness.measurement import Array
from harness.netlist.dialects import Dialect
from harness.netlist.tolerances import Conditions, options_of

_MOST_LINES = 30_000
"""8,000 take 2 s, 160,000 more than 3 minutes."""
_PARAMETER = re.compile(r"\.param (\w+)=(\S+)")
_NAMED = re.compile(r"\{(\w+)\}$")


class Neospice(Simulator):
    """A reader of ngspice's dialect.

    It takes numbers only at controlled sources, so parameters come to it by value.
    """

    name = "neospice"
    searched = "Python package neospice"

    @override
    def version(self) -> str | None:
        return metadata.version("neospice") if util.find_spec("neospice") else None

    @override
    def reads(self, dialect: Dialect) -> bool:
        return dialect.name == "ngspice"

    @override
    def volts(self, deck: Deck) -> Array:
        lines = list(deck.network())
        if len(lines) > _MOST_LINES:
            raise SimulatorError(f"neospice is too slow for {len(lines):,} lines (at most {_MOST_LINES:,})")
        values = {found[1]: found[2] for line in lines if (found := _PARAMETER.fullmatch(line))}
        plain = (_NAMED.sub(lambda found: values.get(found.group(1), found.group()), line) for line in lines)
        text = "\n".join(["* a package's testbench", options_of(deck.conditions), *plain, ".end", ""])
        time, volts = in_child(
            self.name, deck.limits, _transient, text, deck.conditions, deck.nets, deck.step, deck.stop
        )
        return sampled(time, volts, deck.times)


def _transient(text: str, conditions: Conditions, nets: Sequence[str], step: float, stop: float) -> tuple[Array, Array]:
    """Return time (s, ``[points]``) and volts (V, ``[points, nets]``)."""
    import neospice  # noqa: PLC0415 - optional

    tolerances = conditions.tolerances
    bounds = {"reltol": tolerances.reltol, "vntol": tolerances.vntol, "abstol": tolerances.abstol}
    try:
        result = neospice.transient(text, tstep=step, tstop=stop, **bounds)
        volts = np.column_stack([np.asarray(result.voltage(net)) for net in nets])
    except (RuntimeError, ValueError, KeyError, IndexError) as error:
        raise SimulatorError(f"neospice failed: {error}") from error
    return np.asarray(result.time), volts
