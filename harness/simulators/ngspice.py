"""ngspice, through the session of this process."""

from harness.chip.session import find_library, open_session
from harness.errors import NgspiceMissing
from harness.measurement import Array
from harness.netlist.dialects import Dialect
from harness.netlist.settings import options
from harness.simulators.base import TOLERANCES, Deck, sampled

_AT_ONCE = 20


class Ngspice:
    """Reads what the dialects of SPICE have in common; Spectre's statements come to it in SPICE's words."""

    name = "ngspice"
    searched = "$NGSPICE_LIBRARY_PATH, then the system's libngspice"

    def version(self) -> str | None:  # noqa: D102 - said once, on the protocol
        try:
            find_library()
        except NgspiceMissing:
            return None
        return open_session().version_text

    def reads(self, dialect: Dialect) -> bool:  # noqa: D102
        return dialect.has_testbench

    def volts(self, deck: Deck) -> Array:
        """See `Simulator`.

        Raises:
            NgspiceMissing: it cannot be loaded; says what to do.
            SimulatorError: it refused the deck or did not settle.
        """
        session = open_session()
        vectors = [f"v({net})" for net in deck.nets]
        saved = [f".save {' '.join(vectors[k : k + _AT_ONCE])}" for k in range(0, len(vectors), _AT_ONCE)]
        head = ["* a package's testbench", options(TOLERANCES, klu=session.has_klu)]
        time, volts = session.transient([*head, *deck.network(), *saved, ".end"], deck.nets, deck.step, deck.stop)
        return sampled(time, volts, deck.times)
