"""The parts that settings describe: data, circuit, cost, learning rule, update, and how cells are written.

`harness.experiment.experiment` makes the chip.
"""

from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from harness.chip.imperfect.programming import Mode, Programming
from harness.chip.nodal.chip import NodalChip
from harness.circuit import (
    CellRange,
    Circuit,
    Crossbar,
    deep_resistive_network,
    equilibrium_network,
    layered_network,
    rectified_cascade,
)
from harness.circuit.networks.graphs import GraphEdge, read_edges
from harness.circuit.variation.lines import AmplifierErrors, Leakage, LineResistance, SourceErrors
from harness.circuit.variation.nonlinearity import CellNonlinearity
from harness.circuit.variation.temperature import Temperature
from harness.circuit.variation.variation import CellDefects, ConductanceSpread, DiodeMismatch, Variation
from harness.datasets import BUILT_IN, IMAGE_SETS, CsvFile, Split, load_images, read_csv, split
from harness.devices import DiodeModel
from harness.devices.measured import fit
from harness.devices.presets import preset
from harness.devices.pulses import ExponentialStep, LinearStep, SoftBounds, curvature_of_label
from harness.devices.writing import Device, device_of, measured_device
from harness.errors import ExperimentError
from harness.experiment.chip_sections import ProgrammingSettings
from harness.experiment.sections import (
    AdamSettings,
    AnalyticalSettings,
    CascadeSettings,
    CoupledSettings,
    DataSettings,
    DifferencesSettings,
    EquilibriumNetworkSettings,
    EquilibriumSettings,
    GraphSettings,
    LayeredSettings,
    LinearizationSettings,
    MomentumSettings,
    PerturbationSettings,
    RuleSettings,
    SGDSettings,
    SubsetSettings,
)
from harness.experiment.settings import Settings
from harness.experiment.strength import Strength
from harness.learning import (
    AnalyticalGradient,
    CoupledLearning,
    EquilibriumPropagation,
    FiniteDifferences,
    HardwareLinearization,
    Largest,
    SimultaneousPerturbation,
    SubsetUpdate,
    cells_of,
    random_cells,
)
from harness.learning.costs import Cost, SoftmaxCrossEntropy, SquaredError
from harness.learning.updates.accumulation import AccumulatedUpdate
from harness.learning.updates.subsets import Choice, read_masks
from harness.learning.updates.updates import SGD, Adam, Momentum, UpdateRule
from harness.measurement import Access
from harness.training.controller import LearningRule

_INITIAL, _SUBSET, _GRAPH = 2, 3, 4
"""Streams of random numbers for initial conductances, chosen cells and edges (0 and 1 are the controller's)."""


def load_data(settings: Settings) -> Split:
    """The samples, split and encoded into volts."""
    wanted = settings.data
    if wanted.file:
        table = read_csv(csv_file(wanted))
    elif wanted.set in IMAGE_SETS:
        table = load_images(IMAGE_SETS[wanted.set])
    else:
        table = BUILT_IN[wanted.set]()
    return split(
        table,
        held_out=wanted.held_out,
        seed=settings.split_seed,
        levels=wanted.targets,
        scaled=wanted.scaled,
    )


def csv_file(wanted: DataSettings) -> CsvFile:
    """The file of one's own that a section names, and how it is read."""
    return CsvFile(**{f.name: getattr(wanted, f.name) for f in fields(CsvFile)})


def build_circuit(settings: Settings, data: Split) -> Circuit:
    """The network with its initial conductances, for data of so many channels and classes.

    Raises:
        ExperimentError: the pins of a free graph do not fit the data.
        CircuitError: no such circuit exists.
    """
    network, seed = settings.network, settings.network_seed
    diode = network.diode and DiodeModel("dhidden", network.diode.saturation_current, network.diode.emission)
    shared: dict[str, Any] = {
        "cells": CellRange(network.g_unit, network.g_min, network.g_max),
        "diode": diode,
        "rng": np.random.default_rng([seed, _INITIAL]),
        "input_gain": network.input_gain,
    }
    if isinstance(network, GraphSettings):
        return _graph(settings, data, network, shared)
    sizes = data.channels, network.hidden, len(data.classes)
    shared["bias"] = network.bias
    match network:
        case LayeredSettings():
            return layered_network(*sizes, **shared, shift=network.shift, amplifier_gain=network.amplifier_gain)
        case EquilibriumNetworkSettings():
            return equilibrium_network(data.channels, network.hidden[0], len(data.classes), **shared)
        case CascadeSettings():
            shared |= {"buffer_gain": network.buffer_gain, "rectifier_rail": network.rectifier_rail}
            return rectified_cascade(*sizes, **shared)
    return deep_resistive_network(*sizes, **shared)


def _graph(settings: Settings, data: Split, network: GraphSettings, shared: dict[str, Any]) -> Circuit:
    """The free graph, whose pins must fit the data."""
    for what, pins, wanted in (
        ("inputs", network.inputs, data.channels),
        ("outputs", network.outputs, len(data.classes)),
    ):
        if len(pins) != wanted:
            raise ExperimentError(f"network.{what}: {len(pins)} for data set {settings.data.set}, which has {wanted}")
    from harness.circuit.networks.free import free_graph  # noqa: PLC0415 - networkx takes a quarter of a second to import

    rng = np.random.default_rng([settings.network_seed, _GRAPH])
    held: dict[str, Any] = {"inverted": network.inverted, "grounds": network.grounds, "rails": network.rails}
    edges = _edges(network, rng)
    return free_graph(edges, network.inputs, network.outputs, **shared, **held, sense=network.sense)


def _edges(network: GraphSettings, rng: np.random.Generator) -> list[GraphEdge]:
    """The edges of a graph, from a file or of a shape."""
    from harness.circuit.networks import families  # noqa: PLC0415 - networkx is slow to import

    match network.shape:
        case "file":
            return read_edges(network.file or Path())
        case "grid":
            edges = families.grid(network.rows, network.columns)
        case "periodic-grid":
            edges = families.periodic_grid(network.rows, network.columns)
        case "random-regular":
            edges = families.random_regular(network.degree, network.nodes, rng)
        case "complete":
            edges = families.complete(network.nodes)
        case "small-world":
            edges = families.small_world(network.nodes, network.degree, network.rewiring, rng)
    return [replace(edge, diode=network.edge_diode) for edge in edges]


def build_variation(settings: Settings) -> Variation:
    """How the chip's circuit differs from the drawn one."""
    given = settings.variation
    return Variation(
        spread=ConductanceSpread(given.spread, given.spread_law),
        defects=CellDefects(given.stuck_at_min, given.stuck_at_max, given.open_cells),
        diodes=DiodeMismatch(given.diode_saturation_current, given.diode_emission),
        sources=SourceErrors(given.source_offset, given.source_gain),
        leakage=Leakage(given.leakage),
        amplifiers=AmplifierErrors(given.amplifier_gain, given.amplifier_layer_gain, given.amplifier_offset),
        lines=LineResistance(given.line_word, given.line_bit),
        temperature=Temperature(
            given.temperature, given.cell_temperature_coefficient, given.resistor_temperature_coefficient
        ),
        nonlinearity=CellNonlinearity(given.cell_sinh, given.cell_cubic),
    )


def on_device(settings: Settings, data: Split) -> Settings:
    """The settings with a device's own conductances as the network's, where ``programming.range`` wants them.

    Fresh cells of the widest crossbar then reach just up to g_max, and those of a graph reach it too.

    Raises:
        DataError: a file of measured pulses is wrong.
    """
    given = settings.programming
    if given is None or given.range != "device":
        return settings
    g_min, g_max = _device(given).law.bounds
    widest = max(len(a.words) if isinstance(a, Crossbar) else 1 for a in build_circuit(settings, data).arrays)
    cells = {"g_min": g_min, "g_max": g_max, "g_unit": g_max * widest**0.5}
    network, programming = settings.network.model_copy(update=cells), given.model_copy(update={"range": "array"})
    return settings.model_copy(update={"network": network, "programming": programming})


def build_programming(settings: Settings) -> Programming | None:
    """How cells are written by pulses; None where they are written exactly.

    Raises:
        DataError: a file of measured pulses is wrong.
    """
    given = settings.programming
    if given is None:
        return None
    device = _device(given)
    changes: dict[str, Any] = {"ratio": given.on_off_ratio or device.ratio}
    if given.range == "array":
        changes["ratio"] = None
    for name in ("device_to_device", "cycle_to_cycle"):
        if getattr(given, name) is not None:
            changes[name] = getattr(given, name)
    numbers = {name: getattr(given, name) for name in ("max_pulses", "tolerance", "threshold", "refresh_at")}
    said = {name: value for name, value in numbers.items() if value is not None}
    return Programming(replace(device, **changes), Mode(given.mode), pairs=given.pairs, **said)


def _device(given: ProgrammingSettings) -> Device:
    """Published, measured, or of a law over 0…1."""
    if given.device is not None:
        return device_of(preset(given.device))
    if given.file is not None:
        return measured_device(given.file.stem, fit(given.file))
    pulses, labels = given.pulses or 1.0, (given.nonlinearity_up or 0.0, given.nonlinearity_down or 0.0)
    match given.law:
        case "linear":
            return Device("linear", LinearStep(0.0, 1.0, 1 / pulses, 1 / pulses))
        case "soft-bounds":
            return Device("soft-bounds", SoftBounds(0.0, 1.0, 1 / pulses, 1 / pulses))
    return Device("exponential", ExponentialStep(0.0, 1.0, pulses, pulses, *map(curvature_of_label, labels)))


def build_cost(rule: RuleSettings, data: Split) -> Cost:
    """What learning lowers."""
    if rule.cost == "squared-error":
        return SquaredError(classes=not data.valued)
    return SoftmaxCrossEntropy(rule.temperature)


def build_rule(settings: Settings, circuit: Circuit, cost: Cost, strength: Strength) -> LearningRule:
    """How a batch becomes a gradient."""
    unit, rule = settings.network.g_unit, settings.rule
    match rule:
        case EquilibriumSettings():
            nudge: dict[str, Any] = {"beta": strength.beta, "nudging": strength.nudging}
            return EquilibriumPropagation(circuit, cost, variant=rule.variant, **nudge)
        case CoupledSettings():
            return CoupledLearning(circuit, cost, eta=rule.eta, variant=rule.variant, normalized=rule.normalized)
        case AnalyticalSettings():
            unread = settings.chip.access is Access.OUTPUTS
            twin = partial(NodalChip, circuit) if unread else None
            return AnalyticalGradient(circuit, cost, form=rule.form, twin=twin)
        case LinearizationSettings():
            return HardwareLinearization(circuit, cost, gamma=strength.beta)
        case DifferencesSettings():
            return FiniteDifferences(circuit, cost, step=rule.step * unit)
        case PerturbationSettings():
            return SimultaneousPerturbation(circuit, cost, step=rule.step * unit, draws=rule.draws)


def build_update(settings: Settings, circuit: Circuit) -> UpdateRule:
    """How a gradient becomes a change of conductance, of all cells or of a subset, at once or in portions."""
    whole, choice = _update_of_all(settings, circuit), _choice(settings, circuit)
    update: UpdateRule = whole if choice is None else SubsetUpdate(whole, choice)
    portion = settings.update.accumulate * settings.network.g_unit
    return AccumulatedUpdate(update, portion) if portion else update


def _update_of_all(settings: Settings, circuit: Circuit) -> UpdateRule:
    """Rates count in the network's unit; coupled learning's directions are in V², all other gradients in V²/S."""
    update, unit = settings.update, settings.network.g_unit
    per_gradient = unit if isinstance(settings.rule, CoupledSettings) else unit**2
    rates = update.rates * len(circuit.arrays) if len(update.rates) == 1 else update.rates
    match update:
        case SGDSettings():
            return SGD(tuple(r * per_gradient for r in rates))
        case MomentumSettings():
            return Momentum(tuple(r * per_gradient for r in rates), update.momentum)
        case AdamSettings():
            moments = update.beta1, update.beta2, update.epsilon
            return Adam(tuple(r * unit for r in rates), *moments, scale=unit / per_gradient)


def _choice(settings: Settings, circuit: Circuit) -> Choice | None:
    """Which conductances are written; None for all."""
    subset, seed = settings.subset, settings.training.seed
    match subset:
        case None:
            return None
        case SubsetSettings(choose="random"):
            return random_cells(circuit, subset.fraction, np.random.default_rng([seed, _SUBSET]))
        case SubsetSettings(choose="largest"):
            return Largest(subset.fraction)
        case SubsetSettings(choose="arrays"):
            return cells_of(circuit, subset.arrays)
        case SubsetSettings(file=Path() as file):
            return read_masks(circuit, file)
    raise AssertionError  # settings have refused a mask without a file
