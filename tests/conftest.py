"""Circuits, samples and chips that many tests share."""

import os
from collections.abc import Callable

import hypothesis
import numpy as np
import pytest

from harness.chip.base import Chip
from harness.chip.ngspice.chip import FullNetlistChip, NgspiceChip
from harness.chip.nodal.chip import NodalChip
from harness.circuit import Circuit, Kernels, convolutional_network, deep_resistive_network, layered_network
from harness.circuit.branches import Branches
from harness.circuit.networks.layered import CellRange
from harness.cli import terminal
from harness.devices import DiodeModel
from harness.measurement import Batch

os.environ.pop("COLUMNS", None)  # that of the machine, or of pytest-xdist's: tests read tables as pipes get them
terminal._SOON = 600.0  # tests read messages line by line, on machines so busy that a small network takes seconds
hypothesis.settings.register_profile("harness", deadline=None)  # the first example imports what it needs
hypothesis.settings.load_profile("harness")

DIODE = DiodeModel("dtest", 1e-6, 2.0)
CELLS = CellRange(1.0, 1e-3, 10.0)


MakeChip = Callable[[Circuit], Chip]


def kendall(hidden: list[int], seed: int = 0, channels: int = 3, outputs: int = 2, **changes: object) -> Circuit:
    """A random layered network for signals of about a volt, whose diodes conduct at them."""
    options = {"shift": (-0.2, 0.3), "cells": CELLS, "diode": DIODE, "rng": np.random.default_rng(seed), **changes}
    return layered_network(channels, hidden, outputs, **options)  # type: ignore[arg-type]


def scellier(hidden: list[int], seed: int = 0, channels: int = 3, outputs: int = 2, **changes: object) -> Circuit:
    """A random deep resistive network."""
    options = {"cells": CELLS, "diode": DIODE, "rng": np.random.default_rng(seed), "input_gain": 3.0, **changes}
    return deep_resistive_network(channels, hidden, outputs, **options)  # type: ignore[arg-type]


def convolved(**changes: object) -> Circuit:
    """A random network of two kernels at four positions, which pools average, and an output pair."""
    options = {"shift": (-0.2, 0.3), "cells": CELLS, "diode": DIODE, "rng": np.random.default_rng(0), **changes}
    kernels = Kernels((2, 2), 2, pool=2, pool_conductance=2.0)
    return convolutional_network((1, 3, 3), [kernels], [], 1, **options)  # type: ignore[arg-type]


def random_batch(circuit: Circuit, samples: int = 3, seed: int = 1) -> Batch:
    """Inputs and targets of about a volt."""
    rng = np.random.default_rng(seed)
    return Batch(rng.normal(size=(samples, circuit.channels)), rng.normal(size=(samples, len(circuit.outputs))))


def bearable(circuit: Circuit, beta: float) -> float:
    """β (S), or half of what the circuit's outputs see of it, below which a spring of −β leaves it stable."""
    return min(beta, 0.5 * Branches(circuit).programmed(circuit.conductances).output_conductance())


SOLVERS = [
    pytest.param(NodalChip, id="nodal"),
    pytest.param(NgspiceChip, id="ngspice", marks=pytest.mark.ngspice),
    pytest.param(FullNetlistChip, id="full-netlist", marks=pytest.mark.ngspice),
]


@pytest.fixture(params=SOLVERS)
def make_chip(request: pytest.FixtureRequest) -> MakeChip:
    """Every kind of chip, by a function from circuit to chip."""
    return request.param
