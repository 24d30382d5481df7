"""Simulators that can run an exported package again: ngspice always, others where this machine has them."""

from harness.exchange.simulators.base import Deck, Simulator
from harness.exchange.simulators.neospice import Neospice
from harness.exchange.simulators.ngspice import Ngspice
from harness.exchange.simulators.programs import LTSPICE, SPECTRE, XYCE
from harness.exchange.simulators.vacask import Vacask

__all__ = ["NGSPICE", "OTHERS", "Deck", "Simulator"]

NGSPICE = Ngspice()
OTHERS: tuple[Simulator, ...] = (XYCE, LTSPICE, SPECTRE, Vacask(), Neospice())
"""Used where they are found and read the package's dialect."""
