"""Circuits that differ in numbers alone share what is known of their names, and reductions what is planned."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from harness.circuit import BidirectionalAmplifier, Circuit, Crossbar, Diode, Output, Reduction, Resistor, VoltageSource
from harness.circuit.elements import Element
from harness.circuit.reduction.reduction import ReducedCircuit, reduction_of
from harness.circuit.scaling import scaling_of
from harness.circuit.variation.lines import AmplifierErrors, LineResistance, SourceErrors
from harness.circuit.variation.temperature import Temperature
from harness.circuit.variation.variation import CellDefects, ConductanceSpread, DiodeMismatch, Variation, vary
from harness.devices import DiodeModel
from harness.errors import CircuitError
from tests.conftest import kendall

DRAWN = kendall([6, 5], amplifier_gain=2.0, bias=[1.0, 0.0, 0.5])


def with_each(circuit: Circuit, kind: type, change: Callable[[Element], Element]) -> list[Element]:
    """The elements of a circuit, those of one kind changed."""
    return [change(element) if isinstance(element, kind) else element for element in circuit.elements]


def test_other_numbers_keep_the_names_and_are_checked() -> None:
    index, devices = DRAWN.node_index, DRAWN.devices
    moved = DRAWN.altered(with_each(DRAWN, BidirectionalAmplifier, lambda e: replace(e, offset=0.01)))
    assert moved.wiring is DRAWN.wiring
    assert moved.node_index is index
    assert moved.devices is devices
    assert moved.stages[0].offset == 0.01
    assert DRAWN.stages[0].offset == 0.0
    heated = DRAWN.altered(with_each(DRAWN, Diode, lambda e: replace(e, model=DiodeModel("hot", 1e-9, 1.5))))
    assert heated.wiring is DRAWN.wiring
    assert heated.devices[0][0].model.saturation_current == 1e-9
    with pytest.raises(CircuitError, match=r"amplifier .*: gain -1 must be above 0"):
        DRAWN.altered(with_each(DRAWN, BidirectionalAmplifier, lambda e: replace(e, gain=-1.0)))
    with pytest.raises(CircuitError, match=r"cell \[0, 0\]: .* is outside"):
        DRAWN.altered(with_each(DRAWN, Crossbar, lambda e: replace(e, conductances=-e.conductances)))
    names = iter(range(100))
    with pytest.raises(CircuitError, match="another diode model is called one too"):
        DRAWN.altered(
            with_each(DRAWN, Diode, lambda e: replace(e, model=DiodeModel("one", 1e-9, 1 + next(names) / 10)))
        )


def test_cells_that_open_are_looked_at_for_paths_to_ground() -> None:
    drawn = Circuit(
        "test",
        (
            VoltageSource("v", "v", 1.0),
            Crossbar("w", ("v",), ("a",), np.array([[1e-5]]), 0.0, 1e-4),
        ),
        (Output("y", "a"),),
    )
    with pytest.raises(CircuitError, match=r"node a \(at element w\) floats"):
        drawn.altered(with_each(drawn, Crossbar, lambda e: replace(e, conductances=np.zeros((1, 1)))))


def test_elements_of_other_names_nodes_or_kinds_make_another_wiring() -> None:
    for change in (
        lambda e: replace(e, name=f"{e.name}_2"),
        lambda e: replace(e, anode="0") if e.cathode != "0" else e,
    ):
        other = DRAWN.altered(with_each(DRAWN, Diode, change))
        assert other.wiring is not DRAWN.wiring
    twice = with_each(DRAWN, Diode, lambda e: replace(e, name="same"))
    with pytest.raises(CircuitError, match="element same: the name is taken by same"):
        DRAWN.altered(twice)
    more = DRAWN.altered([*DRAWN.elements, Resistor("extra", DRAWN.nodes[0], "0", 1e-6)])
    assert more.wiring is not DRAWN.wiring


VARIATIONS = {
    "offsets": Variation(amplifiers=AmplifierErrors(offset=5e-3)),
    "cells": Variation(spread=ConductanceSpread(0.1), defects=CellDefects(0.05, 0.05, 0.02)),
    "diodes": Variation(diodes=DiodeMismatch(0.1, 0.05)),
    "rails": Variation(sources=SourceErrors(0.02, 1e-3)),
    "gains": Variation(amplifiers=AmplifierErrors(gain=0.05, offset=1e-3)),
    "heat": Variation(temperature=Temperature(60.0)),
    "lines": Variation(lines=LineResistance(word=10.0), amplifiers=AmplifierErrors(offset=5e-3)),
    "all": Variation(
        ConductanceSpread(0.1), diodes=DiodeMismatch(0.1), amplifiers=AmplifierErrors(layer_gain=0.1, offset=5e-3)
    ),
}


@pytest.mark.parametrize("name", VARIATIONS)
def test_reductions_of_kin_are_those_that_are_planned_anew(name: str) -> None:
    """Whichever chip comes first, and bit for bit."""
    reduction_of(DRAWN)
    for seed in (1, 2, 3, 1):
        made = vary(DRAWN, VARIATIONS[name], seed)
        kin, anew = reduction_of(made).reduce(made.conductances), Reduction(made).reduce(made.conductances)
        assert_equal(kin, anew)
        assert kin.network.topology.signature == anew.network.topology.signature
        inputs = np.linspace(-1, 1, 2 * DRAWN.channels).reshape(2, -1)
        np.testing.assert_array_equal(kin._way_back.standing(inputs), anew._way_back.standing(inputs))


def assert_equal(one: ReducedCircuit, other: ReducedCircuit) -> None:
    assert one.names == other.names
    assert one.output_scale == other.output_scale
    np.testing.assert_array_equal(one.network.conductance, other.network.conductance)
    for name in ("current", "current_gain", "rail", "rail_gain", "farads"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def test_chips_that_differ_in_offsets_are_planned_once() -> None:
    made = [vary(DRAWN, VARIATIONS["offsets"], seed) for seed in (1, 2)]
    first, second = map(reduction_of, made)
    assert second.reduce(made[1].conductances).network.topology is first.reduce(made[0].conductances).network.topology
    assert scaling_of(made[1]).variable is scaling_of(made[0]).variable
    assert first.of_kin(vary(DRAWN, VARIATIONS["gains"], 1)) is None
    assert first.of_kin(kendall([6, 5], amplifier_gain=2.0, bias=[1.0, 0.0, 0.5])) is None


def test_constants_that_were_0_or_the_same_are_planned_anew_where_they_differ() -> None:
    """Their terms were left out; the other way round there are terms of 0 A."""
    none, some = DRAWN, vary(DRAWN, VARIATIONS["offsets"], 1)
    assert Reduction(none).of_kin(some) is None
    found = Reduction(some).of_kin(none)
    assert found is not None
    assert_equal(found.reduce(none.conductances), Reduction(none).reduce(none.conductances))
