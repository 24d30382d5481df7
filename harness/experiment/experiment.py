"""An experiment: its parts, made from the sections of its file, and the runs that are made with them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache, cached_property, partial
from os import PathLike
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar
from warnings import warn as python_warning

from threadpoolctl import ThreadpoolController

from harness.chip.base import Chip
from harness.circuit import Circuit
from harness.datasets import Split
from harness.errors import ExperimentError, HarnessError, RunError, SpringError
from harness.experiment.chip import HERE, SimulatorChoice
from harness.experiment.network import memory
from harness.experiment.nonideal import programming
from harness.experiment.nonideal.imperfect import ImperfectSettings
from harness.experiment.nonideal.retention import RetentionSettings
from harness.experiment.nonideal.variation import VariationSettings
from harness.experiment.packaged import check_place, experiment_names, packaged_text
from harness.experiment.rule import Given, Units
from harness.experiment.runs import manifest
from harness.experiment.runs.new_data import settings_and_rows
from harness.experiment.runs.trained import checkpoint, programmed, told
from harness.experiment.settings import NON_IDEALITIES, Settings, leaves, merged, read_settings
from harness.experiment.strength import ROWS, Springs, Strength
from harness.experiment.update import build_update
from harness.files.reading import JsonObject, read_text
from harness.files.writing import write_atomic
from harness.learning.costs import Cost
from harness.learning.rules.base import LearningRule
from harness.learning.updates.updates import UpdateRule
from harness.measurement import Access
from harness.netlist.decks.full import export_text
from harness.netlist.tolerances import Tolerances
from harness.plugins import blaming
from harness.processes.interrupts import cleaned_up
from harness.processes.memory import Part, refuse
from harness.training import controller, parts
from harness.training.controller import EpochDone, Plan, StepDone
from harness.training.position import Position
from harness.training.predictions import Predictions, predictions
from harness.training.results import figures, finish
from harness.training.runs import Run as RunDirectory
from harness.training.runs import Start, make_runs, new_run
from harness.validation import said
from harness.wording import html_table

if TYPE_CHECKING:  # most trainings need neither data frames nor boards, which take a while to import
    import pandas as pd

    from harness.chip.bench.journal import Session
    from harness.chip.bench.line import Line
    from harness.datasets.frames import Rows

_PARTS = ("data", "circuit", "cost", "rule", "update")
"""Parts that may be of one's own."""
_LEARNING = ("strength", "springs", "cost", "rule", "update", "_words")
"""Parts that decide what is learned on a given network, and what a manifest says of them."""
_AS_DRAWN = VariationSettings(), ImperfectSettings(), RetentionSettings()
Made = TypeVar("Made")
_MADE = "_parts_made"
"""Key under which an experiment keeps the parts that its settings describe."""


_TOLD = ("data", "network", "rule", "update", "training", "chip")
"""Sections that a notebook shows."""


def _told_section(settings: Settings, name: str) -> str:
    """Return the keys of a section that differ from their defaults, as people write them."""
    section = getattr(settings, name)
    given = section.model_dump(mode="json", exclude_defaults=True, exclude_none=True)
    kind = {"kind": section.kind} if hasattr(section, "kind") else {}
    found = {key: said(value, Settings.unit_of(f"{name}.{key}")) for key, value in leaves({**kind, **given})}
    return ", ".join(f"{key} = {value}" for key, value in found.items()) or "as usual"


class _Words:
    """Words parts as a manifest does, once for all experiments that share them."""

    def __init__(self) -> None:
        self._told: dict[str, tuple[object, Any]] = {}

    def of(self, name: str, part: Made, tell: Callable[[Made], Any] = parts.described) -> Any:
        """Return what is told of a part of a name; of one that has taken another's place, it is told anew."""
        if name not in self._told or self._told[name][0] is not part:
            self._told[name] = part, tell(part)
        return self._told[name][1]


@dataclass(frozen=True)
class Experiment:
    """An experiment apart from its runs: its settings, and parts that are built when they are first asked for."""

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
        check_place(name)
        return cls.from_file(Path(name), overrides, swept=swept)

    @classmethod
    def from_file(cls, path: Path, overrides: Sequence[str] = (), *, swept: Sequence[str] = ()) -> "Experiment":
        """An experiment from a TOML file; see `load`."""
        text = read_text(path, ExperimentError)
        return cls(read_settings(text, str(path), overrides, path.parent, swept=swept))

    @classmethod
    def of_run(
        cls,
        run: RunDirectory,
        overrides: Sequence[str] = (),
        *,
        same: Sequence[str] = manifest.TRAINED,
        new_data: "Rows | None" = None,
        **own: Any,
    ) -> "Experiment":
        """The experiment that a run was made with, on the data that it was made with or on new ones.

        Args:
            run: whose settings, data and files are compared with what its manifest says.
            overrides: ``key=value`` texts that change the chip, the learning or the training; seeds that the run took
                from training.seed stay as they were.
            same: sections that overrides must not change.
            new_data: a CSV file with the run's columns, an array or a data frame: `data` are its rows then, none of
                them held out, encoded as the run's training rows were, and `predict` says what the network makes of
                them. Overrides may say how the file is written: data.missing, data.separator, data.decimal,
                data.encoding, data.label, data.labels.
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

    def _repr_html_(self) -> str:
        """A table for notebooks: what is learned, by which network, rule and chip; building nothing."""
        settings = self.settings
        rows = [(name, _told_section(settings, name)) for name in _TOLD]
        return html_table(f"experiment {settings.name}: {settings.description}".rstrip(": "), rows)

    def with_parts(self, **own: Any) -> "Experiment":
        """The experiment with parts of one's own; runs that are made with it say so.

        They are `data`, `circuit`, `cost`, `rule` or `update`, instead of what the settings describe.
        """
        if unknown := own.keys() - set(_PARTS):
            raise ExperimentError(f"no part {min(unknown)!r}; an experiment has {', '.join(_PARTS)}")
        subject = Experiment(self.settings)
        vars(subject).update(own)
        return subject

    def holding(self, data: Split, circuit: Circuit | None = None, netlist: str | None = None) -> "Experiment":
        """The experiment with the rows of its file, which are in memory already; a run compares them with the file.

        Its network, and the text of its `drawn_netlist`, may be there already, too.
        """
        subject = Experiment(self.settings)
        vars(subject)["data"] = subject._made("data", data)
        if circuit is not None:
            vars(subject)["circuit"] = subject._made("circuit", circuit)
        if netlist is not None:
            vars(subject)["drawn_netlist"] = netlist
        return subject

    def learning_as(self, other: "Experiment") -> "Experiment":
        """The experiment with the cost, rule and update of another one, whose settings describe the same ones."""
        subject, made = Experiment(self.settings), {name: getattr(other, name) for name in _LEARNING}
        vars(subject).update({**vars(self), **made, _MADE: {**vars(self).get(_MADE, {}), **vars(other).get(_MADE, {})}})
        return subject

    def replace(self, changes: JsonObject) -> "Experiment":
        """The experiment with dotted keys changed: ``replace({"training.epochs": 3})``; parts of one's own stay."""
        subject = Experiment(merged(self.settings, changes)).with_parts(**{name: vars(self)[name] for name in self.own})
        then, now = ((each.settings.data, each.settings.split_seed) for each in (self, subject))
        if "data" in vars(self) and "data" not in self.own and then == now:
            vars(subject)["data"] = subject._made("data", self.data)  # the same rows, which may be in no file yet
        return subject

    @property
    def own(self) -> list[str]:
        """Names of parts that somebody has put in place of what the settings describe."""
        made = vars(self).get(_MADE, {})
        return [name for name in _PARTS if name in vars(self) and vars(self)[name] is not made.get(name)]

    def _made(self, name: str, part: Made) -> Made:
        """Note that the settings describe this part, and return it."""
        vars(self).setdefault(_MADE, {})[name] = part
        return part

    @cached_property
    def data(self) -> Split:
        """The samples, split and encoded into volts."""
        return self._made("data", self.settings.data.load(self.settings.split_seed))

    @cached_property
    def fitted(self) -> Settings:
        """The settings with a device's own conductances as the network's, where ``programming.range`` wants them."""
        settings = self.settings
        if settings.programming is None:
            return settings
        drawn = partial(settings.network.build, self.data, settings.network_seed)
        return settings.model_copy(update=settings.programming.fitted(settings.network, drawn))

    @cached_property
    def circuit(self) -> Circuit:
        """The network with its initial conductances.

        Raises:
            ExperimentError: this machine cannot hold it, or it does not fit the data.
        """
        refuse(self.settings.name, self.memory)
        return self._made("circuit", self.fitted.network.build(self.data, self.settings.network_seed))

    @property
    def memory(self) -> list[Part]:
        """The memory of its largest parts, rounded down: no experiment is refused that would have fitted."""
        data, settings = self.data, self.settings
        batch, lines = min(settings.training.batch, len(data.train)), bool(settings.variation.resistive_lines)
        return list(memory(settings.network, data.channels, len(data.classes), batch, lines=lines))

    @property
    def score(self) -> str:
        """The name of what this experiment calls accuracy (`harness.datasets.Split.score`)."""
        return self.data.score

    def warnings(self) -> list[str]:
        """Return warnings, as of conductances that devices cannot hold or of targets beyond a graph's rails."""
        rows, strained = self.data.train, self.springs.warning(self.circuit.conductances)
        squared = self.settings.rule.cost == "squared-error"
        return [
            *programming.warnings(self.fitted.programming, self.circuit),
            *(self.settings.network.warnings(self.circuit, rows) if squared else []),
            *self.settings.imperfect.warnings(rows),
            *self._of_the_twin(),
            *([strained] if strained else []),
        ]

    def _of_the_twin(self) -> list[str]:
        """Return a warning where sections say what is wrong with a chip, and the chip is a board."""
        told = [f"[{name}]" for name in NON_IDEALITIES if getattr(self.settings, name) not in (None, *_AS_DRAWN)]
        if self.settings.chip.bench is None or not told:
            return []
        return [f"{' and '.join(told)} say what is wrong with the board's digital twin; the board is as it is"]

    @cached_property
    def cost(self) -> Cost:
        """The cost, which learning lowers."""
        return self._made("cost", self.settings.rule.build_cost(self.data))

    @cached_property
    def rule(self) -> LearningRule:
        """The learning rule, by which a batch becomes a gradient."""
        given = Given(self.circuit, self.cost, self.strength, self.units, self.settings.chip.capabilities.access)
        return self._made("rule", self.settings.rule.build(given))

    @cached_property
    def strength(self) -> Strength:
        """The strength of the nudge at the outputs: as the rule says, or as the initial circuit bears it."""
        rows = self.data.train.batch(slice(ROWS))
        return self.settings.rule.strength(self.circuit, rows, self.fitted.network.g_unit)

    @property
    def units(self) -> Units:
        """The units of the numbers of the rule and of the update."""
        return self.settings.rule.units(self.fitted.network.g_unit)

    @cached_property
    def springs(self) -> Springs:
        """The comparison of springs of −β with the network."""
        rule = self.settings.rule
        return Springs(
            self.circuit,
            self.strength,
            both_signs=rule.both_signs,
            rows=lambda: self.data.train.batch(slice(ROWS)),
            falls_back=rule.falls_back,
        )

    @property
    def recorded(self) -> Settings:
        """The settings as a run keeps them: with the figures that β as a share and a device's range stand for."""
        return self.fitted.model_copy(update={"rule": self.fitted.rule.recorded(lambda: self.strength)})

    @cached_property
    def update(self) -> UpdateRule:
        """The update rule, by which a gradient becomes a change of conductance, of all cells or of a subset."""
        settings = self.settings
        built = build_update(settings.update, settings.subset, self.circuit, self.units, settings.training.seed)
        return self._made("update", built)

    @property
    def plan(self) -> Plan:
        """Epochs, batch size, seed, and how rates fall."""
        return self.settings.plan

    @property
    def tolerances(self) -> Tolerances:
        """ngspice's convergence bounds."""
        return self.settings.chip.tolerances

    def new_chip(self, simulators: SimulatorChoice = HERE, session: "Session | None" = None) -> Chip:
        """A chip with the initial conductances; see `harness.experiment.chip.ChipDescription.build`."""
        return self.fitted.chip_description.build(self.circuit, simulators, session)

    @contextmanager
    def open_chip(self, simulators: SimulatorChoice = HERE, session: "Session | None" = None) -> Iterator[Chip]:
        """`new_chip`, closed at the end; meanwhile BLAS keeps to one thread.

        How a product is cut into threads decides its last bits, and the matrices are too small to gain from it.
        """
        with nullcontext() if self.settings.chip.bench is None else cleaned_up():
            chip = self.new_chip(simulators, session)
            try:
                with _libraries().limit(limits=1, user_api="blas"):
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
            raise ExperimentError(f"sample {sample}: there is no such row; the held-out rows are 0…{len(rows) - 1}")
        about = f"sample {sample} of the held-out rows of {self.settings.data.set}"
        if not self.data.valued:
            about += f", class {self.data.classes[int(rows.targets[sample].argmax())]}"
        return export_text(
            circuit, rows.batch(slice(sample, sample + 1)).inputs[0], self.tolerances, [*comments, about]
        )

    @cached_property
    def drawn_netlist(self) -> str:
        """The full netlist of the network with its initial conductances."""
        return self.netlist(self.circuit)

    def manifest(self) -> JsonObject:
        """Return what a run needs to be repeated and what is compared with it (`harness.experiment.runs.manifest`)."""
        netlist = self._words.of("netlist", self.drawn_netlist, manifest.hash_of)
        made = manifest.manifest_of(self.recorded, self.data, netlist, self._described)
        return made | ({"own": self.own} if self.own else {})

    @property
    def _described(self) -> JsonObject:
        """The parts that will train a run, as its manifest describes them."""
        learning = {name: self._words.of(name, getattr(self, name)) for name in ("rule", "update", "cost", "plan")}
        rows = self._words.of("data", self.data, Split.sha256)
        return {**learning, "chip": self.settings.chip_description.kinds, "data": rows}

    @cached_property
    def _words(self) -> "_Words":
        return _Words()

    def changes_since(self, run: RunDirectory) -> list[str]:
        """Versions, and the linear solver, that differ from those that a run began with: its bits may differ too.

        Raises:
            RunError: the settings or the data are not those that the run was made with.
        """
        self.check(run)
        return manifest.changes_since(run, self.settings)

    def check(self, run: RunDirectory) -> None:
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
            programmed(self.circuit, run, position)

    def _check_netlist(self, run: RunDirectory) -> None:
        name = self.settings.name
        usual = Experiment.load(name).settings if name in experiment_names() else None
        manifest.check_netlist(run, self.settings, lambda: self.drawn_netlist, usual)

    def create_run(
        self,
        path: str | PathLike[str],
        start: Start | None = None,
        *,
        files: Mapping[str, bytes] = MappingProxyType({}),
        chip: Chip | None = None,
    ) -> "Run":
        """A new run directory for this experiment, which begins at `start` or else at its own conductances.

        Further `files` lie in it, by name; settings that name one of them name it by a path from there. The rule is
        compared with a `chip` of this experiment that is open already, or else one is made for that.

        Raises:
            RunError: something is at `path` already.
            ExperimentError: the initial network does not bear the rule's springs, or the chip cannot do what the rule
                asks for.
        """
        make_runs({Path(path): self.new_run(path, start, files=files, chip=chip)})
        return Run(path)

    def new_run(
        self,
        path: str | PathLike[str],
        start: Start | None = None,
        *,
        files: Mapping[str, bytes] = MappingProxyType({}),
        chip: Chip | None = None,
    ) -> dict[str, bytes]:
        """Return the files of a new run directory by name; see `create_run`."""
        self.springs.refuse(self.circuit.conductances if start is None else start.conductances)
        self.refuse_chip(chip)
        text = self.recorded.to_toml(Path(path))
        if start is None:
            return new_run(text, self.manifest(), files=files)
        position = Position(start.conductances, self.update.init(start.conductances))
        return new_run(text, {**self.manifest(), **start.origin}, position, files)

    def refuse_chip(self, opened: Chip | None = None) -> None:
        """Refuse a chip that cannot be made, or cannot do what the rule asks for; no board is opened.

        One that is `opened` already is taken as it is.

        Raises:
            ExperimentError: says what the chip lacks, and which rules it can serve.
        """
        chip, plugins = self.settings.chip, self.settings.plugins
        names = (chip.kind, self.settings.rule.kind)
        if opened is not None:
            controller.refuse_beyond(opened, self.rule, self.plan, names)
        elif chip.bench is not None:
            chip.bench.check()
            controller.refuse_unable(chip.capabilities, self.rule, self.plan, names)
        elif (
            plugins
            or self.settings.imperfect.johnson.power
            or not (self.settings.variation.build().absent and chip.access is Access.NODES)
        ):
            subject = self.replace({"chip.kind": "nodal"}) if chip.plugin is None else self
            with subject.open_chip() as made, blaming(plugins):
                controller.refuse_beyond(made, self.rule, self.plan, names)

    def train(
        self,
        run: RunDirectory,
        *,
        watch: Callable[[StepDone | EpochDone], None] = lambda _: None,
        stop: Callable[[], bool] = lambda: False,
        simulators: SimulatorChoice = HERE,
        pictures: bool = True,
        warn: Callable[[str], None] = python_warning,
        line: "Line | None" = None,
        finished: Callable[[JsonObject], None] = lambda _: None,
    ) -> JsonObject | None:
        """Train in a run directory, from its last checkpoint if it has one.

        Args:
            run: of this experiment, from `create_run` or reopened.
            watch: sees every step and epoch.
            stop: asked after every batch; training ends with a checkpoint when it says True.
            simulators: how many ngspices, and where; no result depends on it.
            pictures: whether they are drawn, which takes seconds.
            warn: is told what else could not be done: pictures that could not be drawn.
            line: to the board of a chip on the bench; None opens the one that the profile says.
            finished: is told what the run reached as soon as it is complete; pictures are drawn afterwards.

        Returns:
            What the run reached, as in its ``result.json``; None when it was stopped.

        Raises:
            RunError: another process trains there, or the run was made with another experiment.
            ChipError: the chip failed; the last checkpoint stays.
        """
        self.check(run)
        with (
            run.locked(),
            self.open_chip(simulators, self._session(run, line)) as chip,
            blaming(self.settings.plugins),
        ):
            if (bench := self.settings.chip.bench) is not None:
                bench.note(run, chip)
                if run.position() is None:
                    chip.program(self.circuit.conductances)  # it has those of whoever used it last
            given = (chip, self.rule, self.update, self.cost, self.data, self.plan, run)
            try:
                complete = controller.train(*given, watch=watch, stop=stop, described=self._described)
            except SpringError as error:
                onward = self.springs.onward(run, error.bound)
                if "rule" in self.own or onward is None:
                    raise
                raise SpringError(f"{error}; {onward}", error.bound) from error
            if complete:
                finish(run, chip, self.cost, self.data, {"experiment": self.settings.name, "seed": self.plan.seed})
                if (result := run.result) is not None:
                    finished(result)
            if pictures:
                self._draw(run, chip, warn, stop)
        return run.result

    def _session(self, run: RunDirectory, line: "Line | None") -> "Session | None":
        """Begin a session of a run with a board; None where there is no board."""
        bench = self.settings.chip.bench
        return None if bench is None else bench.begin(run, line)

    def evaluate(
        self, run: RunDirectory, *, simulators: SimulatorChoice = HERE, predicted: Path | None = None
    ) -> JsonObject:
        """Loss and accuracy of a run's conductances (the last checkpoint's if it is not complete).

        Training and held-out rows have their figures each. With `predicted`, truth and prediction of every row are
        written into that CSV file.

        Raises:
            RunError: the run has no checkpoint yet.
            ChipError: the chip failed.
        """
        with self.open_chip(simulators) as chip, blaming(self.settings.plugins):
            chip.program(self.trained(run).conductances)
            found, shown = figures(chip, self.cost, self.data)
        if predicted is not None:
            write_atomic(predicted, predictions(self.data, found))
        return {**self.about(run), **shown}

    def about(self, run: RunDirectory) -> JsonObject:
        """Return the first words of a result: the run, the chip, and what has changed since the run."""
        changes = self.changes_on(run)
        return {"run": str(run.path), "chip": self.settings.chip.kind, **({"with": changes} if changes else {})}

    def predict(self, run: RunDirectory, *, simulators: SimulatorChoice = HERE) -> Predictions:
        """The answers of a run's conductances to new data (see `of_run`) or, without them, to the held-out rows.

        Raises:
            RunError: the run has no checkpoint yet.
            ChipError: the chip failed.
        """
        with self.open_chip(simulators) as chip, blaming(self.settings.plugins):
            chip.program(self.trained(run).conductances)
            outputs = controller.settled(chip, self.data.test)
        return Predictions(self.data.test, outputs, self.data.classes, self.data.scaling)

    def changes_on(self, run: RunDirectory) -> dict[str, str]:
        """Return the values that differ from the settings of a run, as people write them, by key."""
        return manifest.changes_of(run, self.recorded)

    def told(self, run: RunDirectory | None) -> str:
        """Return in a line where the conductances are from: the run, what has changed since, and parts of one's own."""
        return told(run, self.changes_on(run)) if run else f"initial conductances, seed {self.settings.network_seed}"

    def trained(self, run: RunDirectory) -> Circuit:
        """The network with the conductances of a run's last checkpoint.

        Raises:
            RunError: the run has no checkpoint yet, or is of another network or other data.
        """
        position = checkpoint(run)
        manifest.check_trained(run, self.recorded)
        return programmed(self.circuit, run, position)

    def draw(self, run: RunDirectory, *, warn: Callable[[str], None] = python_warning) -> None:
        """Draw the pictures of a run again, on the nodal chip; what cannot be drawn is told to `warn`.

        Raises:
            RunError: the run has no checkpoint yet.
        """
        with self.replace({"chip.kind": "nodal"}).open_chip() as chip:
            chip.program(self.trained(run).conductances)
            self._draw(run, chip, warn, lambda: False)

    def _draw(self, run: RunDirectory, chip: Chip, warn: Callable[[str], None], stop: Callable[[], bool]) -> None:
        try:
            from harness.pictures.runs import draw_run  # noqa: PLC0415 - matplotlib takes a second to import

            draw_run(run, chip, self.data, self.settings.name, stop)
        except (HarnessError, OSError) as error:
            warn(f"run {run.path} has no pictures: {error}")


@cache
def _libraries() -> ThreadpoolController:
    """The libraries that chips compute with, looked for once: the first chip has loaded them all."""
    return ThreadpoolController()


class Run(RunDirectory):
    """A run directory, and what its trained network makes of other rows."""

    def predict(self, rows: "Rows", overrides: Sequence[str] = (), **own: Any) -> "pd.DataFrame":
        """Return a row for each row: the predicted class and its margin in V, or values in their own unit.

        ::

            Run("runs/iris-seed0").predict([[5.1, 3.5, 1.4, 0.2]])

        Args:
            rows: an array ``[rows, inputs]`` or a data frame with the columns of the run's data, in their units, or the
                path of a CSV file. Where a frame or file has the label, or the values, the truth stands beside.
            overrides: ``key=value`` texts that change the chip, such as ``"chip.kind=nodal"``.
            own: parts of one's own that the run was made with, see `Experiment.with_parts`.

        Raises:
            RunError: the run has no checkpoint yet, was edited, or does not tell how its rows were encoded.
            DataError: a row is none that the network knows; names it.
            ChipError: the chip failed.
        """
        import pandas as pd  # noqa: PLC0415 - see above

        subject = Experiment.of_run(self, overrides, new_data=rows, **own)
        if not isinstance(rows, str | Path):  # a file's notes are on how it was read
            for note in subject.data.notes:
                python_warning(note, stacklevel=2)
        found = subject.predict(self).table
        return found.set_axis(rows.index) if isinstance(rows, pd.DataFrame) else found
