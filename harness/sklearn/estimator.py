"""The part that both estimators share: parameters become an experiment, rows a training, a network voltages."""

import os
from collections.abc import Sequence
from numbers import Integral
from pathlib import Path
from typing import Any
from warnings import warn

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from harness.circuit import Circuit
from harness.datasets import Samples, Split
from harness.errors import ExperimentError
from harness.experiment.chip import SimulatorChoice
from harness.experiment.experiment import Experiment
from harness.experiment.settings import Settings
from harness.learning.updates.updates import Schedule
from harness.measurement import Array, Conductances
from harness.plugins import blaming
from harness.processes.memory import Part, refuse
from harness.sklearn.described import for_rows, settings_of
from harness.sklearn.rows import FILE, Rows, samples_of
from harness.training.controller import Plan, refuse_beyond, settled, steps_of_epoch
from harness.training.position import Position

_SEEDS = 2**31
"""Seeds that a random state may draw."""
_CHECKS = {"accept_sparse": "csr", "dtype": float, "order": "C"}
"""Demands on inputs beside scikit-learn's usual ones, which refuse NaN and infinity."""
_PARAMETERS = ("chip", "hidden", "rule", "beta", "learning_rate", "epochs", "batch")


class CircuitEstimator(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Base of the two estimators; it keeps plain data alone, so that it can be copied, pickled and sent to processes.

    A chip is opened for each `fit` and each prediction, and closed again.
    """

    _low: float
    """V wanted at wrong outputs, or for the smallest value, where no experiment says it."""

    def __init__(
        self,
        experiment: str | os.PathLike[str] | None = None,
        *,
        chip: str | None = "nodal",
        hidden: int | Sequence[int] | None = None,
        rule: str | None = None,
        beta: float | str | None = None,
        learning_rate: float | Sequence[float] | None = None,
        epochs: int | None = None,
        batch: int | None = None,
        overrides: Sequence[str] = (),
        random_state: Any = None,
        run: str | os.PathLike[str] | None = None,
        workers: int = 1,
    ) -> None:
        self.experiment = experiment
        self.chip = chip
        self.hidden = hidden
        self.rule = rule
        self.beta = beta
        self.learning_rate = learning_rate
        self.epochs = epochs
        self.batch = batch
        self.overrides = overrides
        self.random_state = random_state
        self.run = run
        self.workers = workers

    @property
    def conductances_(self) -> Conductances:
        """The trained conductances, S, one array for each crossbar or graph."""
        return self.circuit_.conductances

    def __sklearn_tags__(self) -> Any:
        """Tell scikit-learn that sparse inputs are taken."""
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def _inputs(self, X: Any, **checks: Any) -> Array:  # noqa: N803
        """Check rows as scikit-learn does, of a network that exists, and return them as a table, ``[rows, inputs]``."""
        return self._dense(validate_data(self, X, reset=False, **_CHECKS, **checks))

    def _pairs(self, X: Any, y: Any, *, first: bool, **checks: Any) -> tuple[Array, Any]:  # noqa: N803
        """Check rows and what is wanted for them as scikit-learn does; `first` where a network is to be made."""
        least = 2 if first else 1
        inputs, wanted = validate_data(self, X, y, reset=first, ensure_min_samples=least, **_CHECKS, **checks)
        return self._dense(inputs), wanted

    def _dense(self, inputs: Any) -> Array:
        if not hasattr(inputs, "toarray"):
            return np.asarray(inputs)
        rows, columns = inputs.shape
        table = Part(f"{rows:,} sparse rows as a table", 8.0 * rows * columns, "choose columns, or show fewer rows")
        refuse(type(self).__name__, [table])
        return np.ascontiguousarray(inputs.toarray())

    def _settings(self) -> Settings:
        """Return what the parameters describe, but for the rows."""
        given = {name: getattr(self, name) for name in _PARAMETERS}
        settings = settings_of(self.experiment, self.overrides, given, self._low)
        if self.random_state is None:
            return settings
        whole = isinstance(self.random_state, Integral)
        seed = self.random_state if whole else check_random_state(self.random_state).randint(_SEEDS)
        return Experiment(settings).replace({"training.seed": int(seed)}).settings

    def _subject(self, rows: Rows, folder: Path) -> Experiment:
        """Return the experiment of all rows, whose file would lie in `folder`."""
        settings = for_rows(self._settings(), type(self).__name__, folder / FILE, rows.names, rows.wanted)
        return Experiment(settings).holding(rows.split(settings, folder / FILE))

    def _learn(self, rows: Rows) -> None:
        """Train a new network."""
        if self.run is None:
            subject = self._subject(rows, Path())
            self._begin(subject)
            position, self.loss_curve_ = self._trained(subject, None, subject.plan)
        else:
            position = self._learn_in_run(rows, Path(self.run))
        self._keep(position)

    def _learn_in_run(self, rows: Rows, folder: Path) -> Position:
        """Train a new network into a run directory, which holds the rows, too."""
        made = self._subject(rows, folder)
        run = made.create_run(folder, files={FILE: rows.csv()})
        subject = Experiment.of_run(run)  # what a later process sees
        self._begin(subject)
        subject.train(run, simulators=self._simulators)
        position, (_, epochs) = run.position(), run.tables()
        if position is None:
            raise ExperimentError(f"run {run.path} has no checkpoint")
        self.run_, self.loss_curve_ = run, [row.train_loss for row in epochs]
        return position

    def _begin(self, subject: Experiment) -> None:
        """Keep what a network is trained with, and refuse what cannot be trained."""
        if subject.data.encoding is None:
            raise ExperimentError(f"experiment {subject.settings.name}: its rows have no encoding")
        subject.springs.refuse(subject.circuit.conductances)
        subject.refuse_chip()
        for told in subject.warnings():
            warn(told, stacklevel=4)
        self._recorded, self._encoding = subject.recorded, subject.data.encoding
        self.circuit_: Circuit = subject.circuit

    def _learn_more(self, rows: Rows) -> None:
        """Go through some rows once, with a network that exists or a new one; rates do not fall."""
        if self.run is not None:
            raise ExperimentError("run: a run directory records fit alone; set run=None for partial_fit")
        if not hasattr(self, "_position"):
            self._begin(self._subject(rows, Path()))
            self.loss_curve_ = []
        samples = self._encoding.samples(rows.inputs, rows.labels, rows.values, None)
        subject = self._known.with_parts(
            data=Split(samples, samples, self._encoding.classes, self._encoding.scaling, encoding=self._encoding),
            circuit=self.circuit_,
        )
        start: Position | None = getattr(self, "_position", None)
        plan = Plan(1 if start is None else start.epoch + 1, subject.plan.batch, subject.plan.seed, Schedule())
        position, losses = self._trained(subject, start, plan)
        self.loss_curve_ += losses
        self._keep(position)

    def _trained(self, subject: Experiment, start: Position | None, plan: Plan) -> tuple[Position, list[float]]:
        """Train to the end of a plan; return where it ends, and the mean cost of each epoch, V²."""
        losses = []
        with subject.open_chip(self._simulators) as chip, blaming(subject.settings.plugins):
            refuse_beyond(chip, subject.rule, plan)
            position = start or Position(chip.conductances, subject.update.init(chip.conductances))
            chip.program(position.conductances)
            given = chip, subject.rule, subject.update, subject.cost, subject.data.train, plan
            while position.epoch < plan.epochs:
                for done in steps_of_epoch(*given, position):
                    position = done.position
                losses.append(position.loss / len(subject.data.train))
                position = position.next_epoch
        return position, losses

    def _keep(self, position: Position) -> None:
        self._position, self.n_iter_ = position, position.epoch
        self.circuit_ = self.circuit_.with_conductances(position.conductances)

    @property
    def _known(self) -> Experiment:
        """The experiment of a network that exists."""
        return Experiment(self._recorded)

    @property
    def _simulators(self) -> SimulatorChoice:
        return SimulatorChoice(self.workers)

    def _volts(self, X: Any) -> Array:  # noqa: N803
        """Show rows to the network, and return its outputs, V, ``[rows, outputs]``.

        Raises:
            NotFittedError: there is no network yet.
            DataError: a cell is too far from the training rows.
            ChipError: the chip failed, or a row did not settle.
        """
        check_is_fitted(self)
        return self._settled(samples_of(self._inputs(X), self._encoding))

    def _settled(self, samples: Samples) -> Array:
        subject = self._known.with_parts(circuit=self.circuit_)
        with subject.open_chip(self._simulators) as chip, blaming(subject.settings.plugins):
            chip.program(self.circuit_.conductances)
            return settled(chip, samples)
