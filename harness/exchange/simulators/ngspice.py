"""ngspice in a child of this process."""

from collections.abc import Sequence

from typing_extensions import override

from harness.chip.ngspice.library import SEARCHED, find_library
from harness.chip.ngspice.session import open_session
from harness.errors import NgspiceMissing
from harness.exchange.simulators.base import Deck, Simulator, sampled
from harness.exchange.simulators.child import BRIEF, in_child
from harness.measurement import Array
from harness.netlist.dialects import Dialect
from harness.netlist.tolerances import Conditions, options_of

_AT_ONCE = 20


class Ngspice(Simulator):
    """A reader of what the dialects of SPICE have in common; it gets Spectre's statements in SPICE's words."""

    name = "ngspice"
    searched = SEARCHED

    @override
    def version(self) -> str | None:
        try:
            find_library()
        except NgspiceMissing:
            return None
        return in_child(self.name, BRIEF, _version)

    @override
    def reads(self, dialect: Dialect) -> bool:
        return dialect.has_testbench

    @override
    def volts(self, deck: Deck) -> Array:
        """See `Simulator`.

        Raises:
            NgspiceMissing: it cannot be loaded; says what to do.
            SimulatorError: it refused the deck, did not settle, crashed, or took too long.
        """
        network = list(deck.network())
        found = in_child(self.name, deck.limits, transient, network, deck.conditions, deck.nets, deck.step, deck.stop)
        return sampled(*found, deck.times)


def _version() -> str:
    return open_session().version_text


def transient(
    network: Sequence[str], conditions: Conditions, nets: Sequence[str], step: float, stop: float
) -> tuple[Array, Array]:
    """Return time (s, ``[points]``) and volts (V, ``[points, nets]``) of a testbench without options and analyses."""
    session = open_session()
    vectors = [f"v({net})" for net in nets]
    saved = [f".save {' '.join(vectors[k : k + _AT_ONCE])}" for k in range(0, len(vectors), _AT_ONCE)]
    head = ["* a package's testbench", options_of(conditions)]
    return session.transient([*head, *network, *saved, ".end"], nets, step, stop)
