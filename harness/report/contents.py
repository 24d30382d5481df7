"""The contents of a report, gathered before they are written."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from pydantic.fields import FieldInfo

from harness.circuit import Circuit
from harness.errors import ExperimentError
from harness.experiment.experiment import Experiment
from harness.experiment.settings import NON_IDEALITIES, Settings
from harness.files.reading import JsonObject
from harness.measurement import Batch
from harness.processes.versions import versions
from harness.report.inventory import CellCount, cell_count
from harness.report.survey import Survey, survey
from harness.studies.transient import SettlingResult
from harness.training.runs import Run
from harness.training.tables import EpochRow, StepRow
from harness.units import show
from harness.validation import Section, Unit
from harness.wording import counted

MOST_ROWS = 1000
"""Held-out rows that are examined."""
_PACKAGES = ("harness", "numpy", "scipy", "matplotlib", "schemdraw")
_CROWDED = 0.25  # share of an array's cells at their bounds that is worth a warning


@dataclass(frozen=True)
class Limits:
    """Limits that must not be exceeded; None where no limit was given."""

    supply: float | None = None
    """V: every node should stay within ±supply."""
    line: float | None = None
    """A that a word line, bit line or edge may carry."""

    def __post_init__(self) -> None:
        for name, value, unit in (("supply", self.supply, "V"), ("line limit", self.line, "A")):
            if value is not None and not value > 0:
                raise ExperimentError(f"{name} {show(value, unit)} must be above 0 {unit}")


class Kind(StrEnum):
    """The kinds of findings, in the order of the page."""

    WARNING = "Warning"
    OK = "OK"
    NOTE = "Note"


@dataclass(frozen=True)
class Finding:
    """One sentence of the summary."""

    kind: Kind
    text: str


@dataclass(frozen=True)
class NonIdeality:
    """A key of an experiment that makes its chip differ from the ideal one."""

    section: str
    key: str
    value: str


@dataclass(frozen=True, eq=False)
class Contents:
    """All that the page says."""

    name: str
    description: str
    settings: Settings | None
    """None where only the netlist is known."""
    origin: str
    """Origin of the conductances."""
    circuit: Circuit
    found: Survey
    limits: Limits
    rows_told: str
    """Words for the rows that were examined, such as ``"all 45 held-out rows"``."""
    score: str
    """``"accuracy"`` or ``"R²"``."""
    reached: float | None
    """Score of the rows that were examined, by the nodal solver; None without targets."""
    result: JsonObject | None
    """The result of the run, if it is complete."""
    steps: list[StepRow]
    epochs: list[EpochRow]
    versions: dict[str, tuple[str, str]]
    """Then (in training) and now (for this page), ``""`` where unknown."""
    settling: SettlingResult | str | None = None
    """Step responses, or why there are none; None where nobody asked for them."""
    more: tuple[Finding, ...] = ()
    """Findings from elsewhere."""

    @property
    def supply(self) -> float:
        """The V that nodes are shown against: the supply, or the largest voltage of a source if none was given."""
        return self.found.held if self.limits.supply is None else self.limits.supply

    @property
    def against(self) -> str:
        """The name of `supply`."""
        return "largest source" if self.limits.supply is None else "supply"

    @property
    def cells(self) -> list[CellCount]:
        """The counts of each array's cells."""
        return [cell_count(array) for array in self.circuit.arrays]

    def to_json(self) -> JsonObject:
        """Return the summary as plain numbers and texts: V, A, W."""
        found, worst = self.found, self.found.worst_line
        low, high = found.range
        supply, limit = self.limits.supply, self.limits.line
        beyond = None if supply is None else sum(len(group.beyond(supply)) for group in found.groups)
        above = None if limit is None else sum(len(lines.above(limit)) for lines in found.lines)
        return {
            "name": self.name,
            "origin": self.origin,
            "samples": found.samples,
            "score": self.score,
            "reached": self.reached,
            "cells": sum(count.cells for count in self.cells),
            "lowest_v": low,
            "highest_v": high,
            "supply_v": supply,
            "largest_source_v": found.held,
            "nodes_beyond_supply": beyond,
            "worst_line_a": worst[0] if worst else None,
            "worst_line": worst[1].where if worst else None,
            "lines_above_limit": above,
            "mean_power_w": float(found.power.mean()),
            "largest_power_w": float(found.power.max()),
            "warnings": self.warnings,
        }

    @property
    def findings(self) -> list[Finding]:
        """The findings: warnings, then what is in order, then notes."""
        told = [*self._of_lines(), self._of_nodes(), *self._of_cells(), *self.more]
        if self.nonidealities:
            count = f"{len(self.nonidealities)} non-idealities were on"
            text = f"{count} in training; voltages, currents and power here are of the drawn circuit."
            told.append(Finding(Kind.NOTE, text))
        return sorted(told, key=lambda finding: list(Kind).index(finding.kind))

    @property
    def warnings(self) -> list[str]:
        """The findings beyond a limit."""
        return [finding.text for finding in self.findings if finding.kind is Kind.WARNING]

    def _of_lines(self) -> list[Finding]:
        worst = self.found.worst_line
        if worst is None:
            return []
        amperes, lines = worst
        where = f"{show(amperes, 'A')} on {lines.where}"
        if self.limits.line is None:
            return [Finding(Kind.NOTE, f"The largest line current is {where}; no line limit was given.")]
        limit = show(self.limits.line, "A")
        above = sum(len(part.above(self.limits.line)) for part in self.found.lines)
        if not above:
            return [Finding(Kind.OK, f"Every line stays within {limit}: the largest current is {where}.")]
        noun = counted(above, "line carries", "lines carry")
        return [Finding(Kind.WARNING, f"{noun} more than the limit of {limit}: up to {where}.")]

    def _of_nodes(self) -> Finding:
        supply = show(self.supply, "V")
        low, high = self.found.range
        reach = f"{show(low, 'V')} to {show(high, 'V')}".replace("-", "−")
        if self.limits.supply is None:
            told = f"Nodes reach from {reach}; no supply was given, the largest source is {supply}."
            return Finding(Kind.NOTE, told)
        beyond = [(group, group.beyond(self.supply)) for group in self.found.groups]
        names = [f"{len(nodes):,} of {len(group.names):,} {group.title}" for group, nodes in beyond if nodes]
        if not names:
            return Finding(Kind.OK, f"Every node stays within the supply of ±{supply}.")
        return Finding(Kind.WARNING, f"Nodes leave the supply of ±{supply}: {', '.join(names)} ({reach}).")

    def _of_cells(self) -> list[Finding]:
        crowded = [count for count in self.cells if count.bound_share > _CROWDED]
        return [
            Finding(
                Kind.WARNING,
                f"{100 * c.bound_share:.0f} % of the cells of {c.array} stand at a bound of their range: "
                f"{c.at_min:,} at {show(c.g_min, 'S')}, {c.at_max:,} at {show(c.g_max, 'S')}.",
            )
            for c in crowded
        ]

    @property
    def nonidealities(self) -> list[NonIdeality]:
        """Keys of [variation], [imperfect], [programming] and [retention] that differ from an ideal chip's."""
        settings = self.settings
        if settings is None:
            return []
        return [found for name in NON_IDEALITIES for found in _changed(name, getattr(settings, name))]


def _changed(name: str, section: Section | None) -> list[NonIdeality]:
    ideal, found = Settings.model_fields[name].get_default(), []
    for key, field in type(section).model_fields.items() if section else ():
        value = getattr(section, key)
        if value is None or key == "seed" or (ideal is not None and value == getattr(ideal, key)):
            continue
        found.append(NonIdeality(name, key, _written(value, field)))
    return found


def _written(value: object, field: FieldInfo) -> str:
    unit = next((part.symbol for part in field.metadata if isinstance(part, Unit)), "")
    if isinstance(value, float) and unit:
        return show(value, unit.replace("Ohm", "Ω"))
    return f"{value:g}" if isinstance(value, float) else str(value).lower() if isinstance(value, bool) else str(value)


def gather(subject: Experiment, run: Run | None, limits: Limits) -> Contents:
    """Examine a run's network (an experiment's initial one) on its held-out rows.

    Raises:
        RunError: the run has no checkpoint yet.
        ConvergenceError: a sample did not settle.
    """
    circuit = subject.trained(run) if run else subject.circuit
    batch = held_out(subject)
    found = survey(circuit, batch.inputs)
    steps, epochs = run.tables() if run else ([], [])
    rows = len(subject.data.test)
    return Contents(
        name=subject.settings.name,
        description=subject.settings.description,
        settings=subject.settings,
        origin=subject.told(run),
        circuit=circuit,
        found=found,
        limits=limits,
        rows_told=f"{'all' if found.samples == rows else f'the first {found.samples:,} of'} {rows:,} held-out rows",
        score=subject.score,
        reached=subject.cost.score(found.outputs, batch.targets),
        result=run.result if run else None,
        steps=steps,
        epochs=epochs,
        versions=versions_of(run.manifest["versions"] if run else {}),
    )


def held_out(subject: Experiment) -> Batch:
    """Return the rows that are examined."""
    return subject.data.test.batch(slice(min(MOST_ROWS, len(subject.data.test))))


def versions_of(then: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Return the version of each package then and now."""
    now = versions(_PACKAGES)
    return {name: (then.get(name, ""), now.get(name, "")) for name in dict.fromkeys([*then, *now])}
