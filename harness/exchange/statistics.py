"""Statistics of an experiment's chips for a package: the spread of `[variation]`, and what no draw stands for."""

from collections.abc import Iterator
from dataclasses import fields, replace

from harness.circuit import Circuit
from harness.circuit.variation.lines import layers_of
from harness.circuit.variation.temperature import Temperature
from harness.circuit.variation.variation import Variation
from harness.errors import ExperimentError
from harness.experiment.experiment import Experiment
from harness.experiment.settings import Settings
from harness.netlist.dialects import Dialect, Stimulus
from harness.netlist.statistics.files import STYLES
from harness.netlist.statistics.laws import Statistics
from harness.wording import listed

_DRAWN = {"spread", "defects", "diodes", "sources", "amplifiers", "transistors"}
_ALIKE = {"leakage", "lines", "temperature", "nonlinearity"}


def typical_circuit(subject: Experiment, drawn: Circuit) -> Circuit:
    """Return the circuit of a chip whose devices do not differ, at 27 °C: with lines, leakage and curves of cells.

    Raises:
        CircuitError: a pass of the variation refuses the circuit.
    """
    alike = replace(subject.settings.variation.build().typical, temperature=Temperature())
    for one in (alike.leakage, alike.lines, alike.nonlinearity):
        drawn = one.apply(drawn)
    return drawn


def statistics_of(
    subject: Experiment, circuit: Circuit, stimulus: Stimulus, dialect: Dialect, temperatures: tuple[float, ...] | None
) -> Statistics:
    """Return what differs from chip to chip; without temperatures, at that of `[variation]`.

    Raises:
        ExperimentError: the variation has no spread, or nobody has written the dialect's statistics.
        CircuitError: a device has no law for a temperature, or that is beyond its bounds.
    """
    variation = subject.settings.variation.build()
    if dialect.name not in STYLES:
        raise ExperimentError(f"{dialect.title}: it has no statistics; those with are {listed(sorted(STYLES))}")
    if all(getattr(variation, name) == getattr(Variation(), name) for name in _DRAWN):
        raise ExperimentError(
            f"experiment {subject.settings.name}: chips do not differ, as [variation] has no spread; give one, such as "
            "--set variation.spread=0.1"
        )
    law = variation.temperature
    wanted = temperatures or (law.celsius,)
    for celsius in wanted:
        replace(law, celsius=celsius).apply(circuit)
    classes = stimulus.targets.argmax(axis=1).tolist() if subject.score == "accuracy" else None
    layers = layers_of(circuit) if variation.amplifiers.layer_gain and circuit.stages else {}
    return Statistics(variation, wanted, layers, classes, tuple(_left_out(subject.settings, variation)))


def _left_out(settings: Settings, variation: Variation) -> Iterator[str]:
    """Yield a sentence for each part of an experiment that no draw stands for."""
    if changed := list(settings.imperfect.model_dump(exclude_defaults=True)):
        yield (
            f"[imperfect] {', '.join(changed)}: pins, cycles and the twin of the nudged phase are no spread of a device"
        )
    if settings.programming is not None:
        yield "[programming]: devices differ in how they are written, and a netlist writes none"
    if settings.retention.model_dump(exclude_defaults=True):
        yield "[retention]: devices differ in how they age, and a netlist has no age"
    if plugins := [plugin.name for plugin in settings.variation.plugged]:
        yield f"[variation.plugins] {', '.join(plugins)}: only the plug-in knows what it draws"
    usual = Variation()
    for field in fields(Variation):
        if field.name not in _DRAWN | _ALIKE | {"more"} and getattr(variation, field.name) != getattr(
            usual, field.name
        ):
            yield f"[variation] {field.name}: no draw stands for it yet"
