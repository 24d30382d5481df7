"""An experiment: its parts, and what is done with them."""

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from warnings import warn as python_warning

import numpy as np
from threadpoolctl import threadpool_limits

from harness.chip.base import Chip
from harness.chip.imperfect.programming import alike_cells, clipped_cells, coarse_pulses
from harness.circuit import Circuit
from harness.datasets import Split
from harness.errors import ExperimentError, HarnessError, RunError, SpringError
from harness.experiment import manifest
from harness.experiment.assembly import (
    build_circuit,
    build_cost,
    build_programming,
    build_rule,
    build_update,
    build_variation,
    load_data,
    on_device,
)
from harness.experiment.chips import HERE, SimulatorChoice, build_chip, chip_kinds, tolerances_of
from harness.experiment.library import experiment_names, packaged_text
from harness.experiment.memory import refuse_experiment
from harness.experiment.new_data import settings_and_rows
from harness.experiment.sections import EquilibriumSettings, GraphSettings
from harness.experiment.settings import Settings, merged, read_settings
from harness.experiment.strength import ROWS, Springs, Strength, strength_of
from harness.files.reading import read_text
from harness.files.writing import write_atomic
from harness.learning.costs import Cost
from harness.learning.updates.updates import Schedule, UpdateRule
from harness.measurement import Drive
from harness.netlist.decks.full import export_text
from harness.netlist.tolerances import Tolerances
from harness.training import controller, parts
from harness.training.controller import EpochDone, Evaluation, LearningRule, Plan, StepDone
from harness.training.predictions import predictions, value_errors
from harness.training.runs import LEDGER, Position, Run, Start
from harness.units import show
from harness.wording import command, did_you_mean

_SHOWN = 10_000
"""Training rows that a finished run is evaluated on, at most: more would take minutes and tell nothing new."""
_GRID = 41
"""Points of either input in the picture of a decision boundary."""
_ROUNDED = 1e-9
"""Part of g_max by which a conductance may be beyond its bounds."""
_PARTS = ("data", "circuit", "cost", "rule", "update")
"""Parts that may be of one's own."""
_MADE = "_parts_made"
"""Where an experiment keeps the parts that its settings describe."""


@dataclass(frozen=True)
class Experiment:
    """Everything of an experiment that does not depend on a run; its parts are built when they are first asked for."""

    settings: Settings

    @classmethod
    def load(cls, name: str, overrides: Sequence[str] = (), *, swept: Sequence[str] = ()) -> "Experiment":
        """A packaged experiment by name, or one's own by the path of its TOML file.

        Args:
            name: such as ``"digits"`` or ``"my/experiment.toml"``.
            overrides: ``key=value`` texts, as the command line's ``--set`` takes them.
            swept: likewise, see `read_settings`.

        Raises:
            ExperimentError: there is no such experiment, or a key or value in it is wrong.
        """
        if name in experiment_names():
            return cls(read_settings(packaged_text(name), f"experiment {name}", overrides, swept=swept))
        _check_place(name)
        return cls.from_file(Path(name), overrides, swept=swept)

    @classmethod
    def from_file(cls, path: Path, overrides: Sequence[str] = (), *, swept: Sequence[str] = ()) -> "Experiment":
        """An experiment from a TOML file; see `load`."""
        text = read_text(path, ExperimentError)
        return cls(read_settings(text, str(path), overrides, path.parent, swept=swept))

    @classmethod
    def of_run(
        cls,
        run: Run,
        overrides: Sequence[str] = (),
        *,
        same: Sequence[str] = manifest.TRAINED,
        new_data: Path | None = None,
        **own: Any,
    ) -> "Experiment":
        """The experiment that a run was made with, on the data that it was made with or on new ones.

        Args:
            run: whose settings, data and files are compared with what its manifest says.
            overrides: ``key=value`` texts that change the chip, the learning or the training; seeds that the run took
                from training.seed stay as they were.
            same: sections that overrides must not change.
            new_data: a CSV file with the run's columns: `data` are its rows then, none of them held out, encoded as the
                run's training rows were, and `evaluate` says what the network makes of them. Overrides may say how the
                file is written: data.missing, data.separator, data.decimal, data.encoding, data.label, data.labels.
            own: parts of one's own that the run was made with, see `with_parts`.

        Raises:
            RunError: the run was edited, its data have changed, or a key would make another network or other data.
            ExperimentError: a key or value is wrong.
            DataError: the data cannot be read, or new ones are not the kind of rows that the network knows.
        """
        if new_data is None:
            subject = cls(manifest.settings_of(run, overrides)).with_parts(**own)
        else:
            settings, rows = settings_and_rows(run, new_data, overrides, lambda: cls.of_run(run, **own).data.encoding)
            subject = cls(settings).with_parts(**own, data=rows)
        if overrides:
            manifest.check_trained(run, subject.settings, same)
        if "circuit" not in own and "circuit" in parts.own_parts(run):
            raise RunError(f"run {run.path}: its network was made in Python; give it to Experiment.of_run as circuit=…")
        if new_data is None:
            manifest.check_data(run, subject.data)
            subject._check_netlist(run)
        manifest.check_result(run)
        return subject

    def with_parts(self, **own: Any) -> "Experiment":
        """The experiment with parts of one's own; runs that are made with it say so.

        Args:
            own: `data`, `circuit`, `cost`, `rule` or `update`, instead of what the settings describe.
        """
        if unknown := own.keys() - set(_PARTS):
            raise ExperimentError(f"no part {min(unknown)!r}; an experiment has {', '.join(_PARTS)}")
        subject = Experiment(self.settings)
        vars(subject).update(own)
        return subject

    def replace(self, changes: Mapping[str, Any]) -> "Experiment":
        """The experiment with dotted keys changed: ``replace({"training.epochs": 3})``; parts of one's own stay."""
        return Experiment(merged(self.settings, changes)).with_parts(**{name: vars(self)[name] for name in self.own})

    @property
    def own(self) -> list[str]:
        """Names of parts that somebody has put in place of what the settings describe."""
        made = vars(self).get(_MADE, {})
        return [name for name in _PARTS if name in vars(self) and vars(self)[name] is not made.get(name)]

    def _made(self, name: str, part: Any) -> Any:
        """Remember that the settings describe this part."""
        vars(self).setdefault(_MADE, {})[name] = part
        return part

    @cached_property
    def data(self) -> Split:
        """The samples, split and encoded into volts."""
        made: Split = self._made("data", load_data(self.settings))
        return made

    @cached_property
    def fitted(self) -> Settings:
        """The settings with a device's own conductances as the network's, where ``programming.range`` wants them."""
        return on_device(self.settings, self.data)

    @cached_property
    def circuit(self) -> Circuit:
        """The network with its initial conductances.

        Raises:
            ExperimentError: this machine cannot hold it, or it does not fit the data.
        """
        refuse_experiment(self.settings, self.data.channels, len(self.data.classes), len(self.data.train))
        made: Circuit = self._made("circuit", build_circuit(self.fitted, self.data))
        return made

    @property
    def score(self) -> str:
        """What an accuracy of this experiment is (`harness.datasets.Split.score`)."""
        return self.data.score

    def warnings(self) -> list[str]:
        """What this experiment cannot reach: conductances that devices cannot hold, targets beyond a graph's rails."""
        return self._cells_lost() + self._targets_lost() + self._volts_clipped() + self._springs_strained()

    def _springs_strained(self) -> list[str]:
        warning = self.springs.warning(self.circuit.conductances)
        return [warning] if warning else []

    def _cells_lost(self) -> list[str]:
        programming = build_programming(self.fitted)
        if programming is None:
            return alike_cells(self.circuit)
        lost = clipped_cells(self.circuit, programming.device)
        return lost or alike_cells(self.circuit) or coarse_pulses(self.circuit, programming.device)

    def _targets_lost(self) -> list[str]:
        """Targets beyond the voltages that hold a free graph."""
        if not isinstance(self.settings.network, GraphSettings) or self.settings.rule.cost != "squared-error":
            return []
        from harness.circuit.networks.free import unreachable_targets  # noqa: PLC0415 - networkx is slow to import

        rows = self.data.train.batch(slice(None))
        return unreachable_targets(self.circuit, rows.inputs, rows.targets)

    def _volts_clipped(self) -> list[str]:
        """Inputs and targets beyond what converters reach."""
        pins, rows = self.settings.imperfect, self.data.train.batch(slice(None))
        clipped = []
        for name, bits, limit, volts in (
            ("dac_range", pins.dac_bits, pins.dac_range, rows.inputs),
            ("adc_range", pins.adc_bits, pins.adc_range, rows.targets),
        ):
            if bits is not None and (share := float(np.mean(np.abs(volts) > limit))):
                what = "inputs" if name == "dac_range" else "wanted outputs"
                clipped.append(f"{share:.1%} of the {what} lie beyond imperfect.{name}, ±{show(limit, 'V')}; raise it")
        return clipped

    @cached_property
    def cost(self) -> Cost:
        """What learning lowers."""
        made: Cost = self._made("cost", build_cost(self.settings.rule, self.data))
        return made

    @cached_property
    def rule(self) -> LearningRule:
        """How a batch becomes a gradient."""
        made: LearningRule = self._made("rule", build_rule(self.fitted, self.circuit, self.cost, self.strength))
        return made

    @cached_property
    def strength(self) -> Strength:
        """How strongly outputs are nudged: as the rule says, or as the initial circuit bears it."""
        return strength_of(self.fitted, self.circuit, self.data.train.batch(slice(ROWS)))

    @cached_property
    def springs(self) -> Springs:
        """What compares springs of −β with the network."""
        return Springs(self.fitted, self.circuit, self.strength)

    @property
    def recorded(self) -> Settings:
        """The settings as a run keeps them: with the figures that β = "auto" and a device's range stand for."""
        rule = self.fitted.rule
        if not isinstance(rule, EquilibriumSettings) or rule.beta is not None:
            return self.fitted
        return self.fitted.model_copy(update={"rule": rule.model_copy(update=vars(self.strength))})

    @cached_property
    def update(self) -> UpdateRule:
        """How a gradient becomes a change of conductance, of all cells or of a subset."""
        made: UpdateRule = self._made("update", build_update(self.fitted, self.circuit))
        return made

    @property
    def plan(self) -> Plan:
        """Epochs, batch size, seed, and how rates fall."""
        training = self.settings.training
        update = self.settings.update
        return Plan(training.epochs, training.batch, training.seed, Schedule(update.decay, to_zero=update.to_zero))

    @property
    def tolerances(self) -> Tolerances:
        """ngspice's convergence bounds."""
        return tolerances_of(self.settings.chip)

    def new_chip(self, simulators: SimulatorChoice = HERE) -> Chip:
        """A chip with the initial conductances; see `harness.experiment.chips.build_chip`."""
        return build_chip(self.fitted, self.circuit, simulators)

    @contextmanager
    def open_chip(self, simulators: SimulatorChoice = HERE) -> Iterator[Chip]:
        """`new_chip`, closed at the end; meanwhile BLAS keeps to one thread.

        How a product is cut into threads decides its last bits, and the matrices are too small to gain from it.
        """
        chip = self.new_chip(simulators)
        try:
            with threadpool_limits(limits=1, user_api="blas"):
                yield chip
        finally:
            chip.close()

    def netlist(self, circuit: Circuit, sample: int = 0, comments: Sequence[str] = ()) -> str:
        """The full netlist with one held-out sample at its inputs, for ``ngspice -b``.

        Raises:
            ExperimentError: there is no such sample.
        """
        rows = self.data.test
        if not 0 <= sample < len(rows):
            raise ExperimentError(f"sample {sample}: the held-out rows are 0…{len(rows) - 1}")
        about = f"sample {sample} of the held-out rows of {self.settings.data.set}"
        if not self.data.valued:
            about += f", class {self.data.classes[int(rows.targets[sample].argmax())]}"
        return export_text(
            circuit, rows.batch(slice(sample, sample + 1)).inputs[0], self.tolerances, [*comments, about]
        )

    def manifest(self) -> dict[str, Any]:
        """What a run needs to be repeated, and what is later compared with it (`harness.experiment.manifest`)."""
        made = manifest.manifest_of(self.recorded, self.data, self.netlist(self.circuit), self._described)
        return made | ({"own": self.own} if self.own else {})

    @property
    def _described(self) -> dict[str, Any]:
        """What will train a run, in the words of its manifest."""
        described = {name: parts.described(getattr(self, name)) for name in ("rule", "update", "cost", "plan")}
        return described | {"chip": chip_kinds(self.settings), "data": self.data.sha256()}

    def changes_since(self, run: Run) -> list[str]:
        """Versions, and the linear solver, that differ from those that a run began with: its bits may differ too.

        Raises:
            RunError: the settings or the data are not those that the run was made with.
        """
        self.check(run)
        return manifest.changes_since(run, self.settings)

    def check(self, run: Run) -> None:
        """Refuse a run that was not made with this experiment.

        Raises:
            RunError: a key or the data differ, or its checkpoint does not fit the network.
        """
        manifest.check_settings(run, self.recorded)
        manifest.check_data(run, self.data)
        self._check_netlist(run)
        parts.refuse_others(run, self._described)
        run.tables()
        if (position := run.position()) is not None:
            self.programmed(run, position)

    def _check_netlist(self, run: Run) -> None:
        name = self.settings.name
        usual = Experiment.load(name).settings if name in experiment_names() else None
        manifest.check_netlist(run, self.settings, lambda: self.netlist(self.circuit), usual)

    def create_run(self, path: Path, start: Start | None = None) -> Run:
        """A new run directory for this experiment.

        Args:
            path: where nothing is yet.
            start: conductances to begin with; None for the experiment's own.

        Raises:
            RunError: something is at `path` already.
            ExperimentError: the initial network does not bear the rule's springs.
        """
        self.springs.refuse(self.circuit.conductances if start is None else start.conductances)
        if not build_variation(self.settings).absent:  # a chip that cannot be made leaves no run behind
            self.replace({"chip.kind": "nodal"}).new_chip().close()
        if start is None:
            return Run.create(path, self.recorded.to_toml(), self.manifest())
        position = Position(start.conductances, self.update.init(start.conductances))
        return Run.create(path, self.recorded.to_toml(), {**self.manifest(), **start.origin}, position)

    def train(
        self,
        run: Run,
        *,
        watch: Callable[[StepDone | EpochDone], None] = lambda _: None,
        stop: Callable[[], bool] = lambda: False,
        simulators: SimulatorChoice = HERE,
        pictures: bool = True,
        warn: Callable[[str], None] = python_warning,
    ) -> dict[str, Any] | None:
        """Train in a run directory, from its last checkpoint if it has one.

        Args:
            run: of this experiment, from `create_run` or reopened.
            watch: sees every step and epoch.
            stop: asked after every batch; training ends with a checkpoint when it says True.
            simulators: how many ngspices, and where; no result depends on it.
            pictures: whether they are drawn, which takes seconds.
            warn: is told what else could not be done: pictures that could not be drawn.

        Returns:
            What the run reached, as in its ``result.json``; None when it was stopped.

        Raises:
            RunError: another process trains there, or the run was made with another experiment.
            ChipError: the chip failed; the last checkpoint stays.
        """
        self.check(run)
        with run.locked(), self.open_chip(simulators) as chip:
            given = (chip, self.rule, self.update, self.cost, self.data, self.plan, run)
            try:
                complete = controller.train(*given, watch=watch, stop=stop)
            except SpringError as error:
                onward = self.springs.onward(run, error.bound)
                if "rule" in self.own or onward is None:
                    raise
                raise SpringError(f"{error}; {onward}", error.bound) from error
            if complete:
                began = time.perf_counter()
                found = {"train": controller.evaluate(chip, self.cost, self.data.train.first(_SHOWN))}
                if self.data.valued:
                    found["test"] = controller.evaluate(chip, self.cost, self.data.test)
                result = self._result(run, found, time.perf_counter() - began)
                run.finish([c.name for c in self.circuit.arrays], chip.conductances, result)
            if pictures:
                self._draw(run, chip, warn)
        return run.result

    def evaluate(
        self, run: Run, *, simulators: SimulatorChoice = HERE, predicted: Path | None = None
    ) -> dict[str, Any]:
        """Loss and accuracy of a run's conductances (the last checkpoint's if it is not complete).

        Training and held-out rows have their figures each; those of new data (see `of_run`) begin with ``new_``.

        Args:
            run: of this experiment.
            simulators: how many ngspices, and where; no result depends on it.
            predicted: a CSV file to write, with truth and prediction of every row.

        Raises:
            RunError: the run has no checkpoint yet.
            ChipError: the chip failed.
        """
        with self.open_chip(simulators) as chip:
            chip.program(self.trained(run).conductances)
            rows = self.data.parts.items()
            found = {part: controller.evaluate(chip, self.cost, samples) for part, samples in rows}
            shown: dict[str, Any] = {"sparse_sweeps": chip.ledger.sparse_sweeps}
        for part, one in found.items():
            shown |= {f"{part}_accuracy": one.accuracy, f"{part}_loss": one.loss, f"{part}_samples": len(one.outputs)}
        shown |= value_errors(self.data, found)
        if predicted is not None:
            write_atomic(predicted, predictions(self.data, found))
        about: dict[str, Any] = {"run": str(run.path), "chip": self.settings.chip.kind}
        if changes := self.changes_on(run):
            about["with"] = changes
        if self.data.new is not None:
            about["new_data"] = str(self.data.new)
        return {**about, **shown}

    def changes_on(self, run: Run) -> dict[str, str]:
        """What differs from the settings that a run was made with: values as people write them, by key."""
        return manifest.changes_of(run, self.recorded)

    def told(self, run: Run | None) -> str:
        """Where the conductances are from, in a line: the run, what is not as it was made, and parts of one's own."""
        if run is None:
            return f"initial conductances, seed {self.settings.network_seed}"
        changes = self.changes_on(run)
        told = f"trained in {run.path.resolve().name}"
        if own := parts.own_parts(run):
            told += f" by parts of one's own ({', '.join(f'{name}: {title}' for name, title in own.items())})"
        return told + (f", with {', '.join(f'{key} = {new}' for key, new in changes.items())}" if changes else "")

    def trained(self, run: Run) -> Circuit:
        """The network with the conductances of a run's last checkpoint.

        Raises:
            RunError: the run has no checkpoint yet, or is of another network or other data.
        """
        position = run.position()
        if position is None:
            raise RunError(
                f"run {run.path} has no checkpoint yet; go on with: {command('train', '--resume', run.path)}"
            )
        manifest.check_trained(run, self.recorded)
        return self.programmed(run, position)

    def programmed(self, run: Run, position: Position) -> Circuit:
        """The network with conductances from a run's checkpoint, which must fit it.

        Raises:
            RunError: the network has other cells, or a conductance is beyond their bounds.
        """
        file, arrays = run.path / "checkpoint.npz", self.circuit.arrays
        ours, theirs = ([list(each.shape) for each in found] for found in (arrays, position.conductances))
        if ours != theirs:
            raise RunError(f"{file} is of another network: it has cells {theirs}, the experiment's are {ours}")
        for array, g in zip(arrays, position.conductances, strict=True):
            slack = _ROUNDED * array.g_max
            if g.min() < array.g_min - slack or g.max() > array.g_max + slack:
                found = f"{show(float(g.min()), 'S')}…{show(float(g.max()), 'S')}"
                bounds = f"{show(array.g_min, 'S')}…{show(array.g_max, 'S')}"
                raise RunError(f"{file} is of another network: {array.title} has {found}, its cells reach {bounds}")
        return self.circuit.with_conductances(position.conductances)

    def draw(self, run: Run, *, warn: Callable[[str], None] = python_warning) -> None:
        """Draw the pictures of a run again, on the nodal chip; what cannot be drawn is told to `warn`.

        Raises:
            RunError: the run has no checkpoint yet.
        """
        with self.replace({"chip.kind": "nodal"}).open_chip() as chip:
            chip.program(self.trained(run).conductances)
            self._draw(run, chip, warn)

    def _draw(self, run: Run, chip: Chip, warn: Callable[[str], None]) -> None:
        try:
            if self.data.channels == 2 and len(self.data.classes) == 2 and not self.data.valued:
                self._draw_boundary(run, chip)
            self._draw_training(run, chip)
        except (HarnessError, OSError) as error:
            warn(f"run {run.path} has no pictures: {error}")

    def _draw_training(self, run: Run, chip: Chip) -> None:
        from harness.pictures.runs import draw_arrays, draw_training  # noqa: PLC0415 - matplotlib takes a second to import

        steps, epochs = run.tables()
        arrays = zip(self.circuit.arrays, chip.conductances, strict=True)
        write_atomic(run.path / "conductances.png", draw_arrays([c.with_conductances(g) for c, g in arrays]))
        picture = draw_training(steps, epochs, self.settings.name, self.score)
        write_atomic(run.path / "training.png", picture)  # the last one: it tells `Run.drawn` that all are there

    def _draw_boundary(self, run: Run, chip: Chip) -> None:
        """The decision boundary as the circuit sees it."""
        from harness.pictures.runs import draw_boundary  # noqa: PLC0415 - so is matplotlib

        rows = self.data.test.batch(slice(None))
        edges = 1.2 * np.abs(rows.inputs).max(axis=0)
        across, up = (np.linspace(-edge, edge, _GRID) for edge in edges)
        plane = np.stack(np.meshgrid(across, up), axis=-1).reshape(-1, 2)
        (reading,) = chip.measure([Drive(plane)])
        margin = (reading.outputs[:, 1] - reading.outputs[:, 0]).reshape(_GRID, _GRID)
        picture = draw_boundary((across, up), margin, rows.inputs, rows.targets.argmax(axis=1), self.settings.name)
        write_atomic(run.path / "boundary.png", picture)

    def _result(self, run: Run, found: Mapping[str, Evaluation], evaluating: float) -> dict[str, Any]:
        _, epochs = run.tables()
        train = found["train"]
        seconds = sum(row.seconds for row in epochs)
        evaluating += sum(row.evaluation_seconds for row in epochs)
        shares = [row.ngspice_share * row.seconds for row in epochs if row.ngspice_share is not None]
        return {
            "experiment": self.settings.name,
            "seed": self.settings.training.seed,
            "score": self.score,
            "test_accuracy": epochs[-1].test_accuracy,
            "train_accuracy": train.accuracy,
            "test_loss": epochs[-1].test_loss,
            "train_loss": train.loss,
            "train_samples": len(train.outputs),
            "epochs": len(epochs),
            "seconds": seconds + evaluating,
            "training_seconds": seconds,
            "train_samples_per_second": len(self.data.train) * len(epochs) / seconds,
            "ngspice_share": sum(shares) / seconds if shares else None,
            **{name: sum(getattr(row, name) for row in epochs) for name in LEDGER},
            **value_errors(self.data, found),
        }


def _check_place(name: str) -> None:
    """Refuse what can be no experiment file, with what was probably meant."""
    if os.path.isfile(os.path.join(name, "manifest.json")):
        raise ExperimentError(f"{name} is a run; go on with: {command('train', '--resume', name)}")
    if os.path.isdir(name):
        raise ExperimentError(f"{name} is a folder that holds no run (no manifest.json), and no experiment file")
    if not os.path.lexists(name):
        own = "" if name.endswith(".toml") else " (a file of one's own ends in .toml)"
        meant = did_you_mean(name.removesuffix(".toml"), experiment_names(), or_list=True)
        raise ExperimentError(f"there is no experiment {name!r}{meant}{own}")
