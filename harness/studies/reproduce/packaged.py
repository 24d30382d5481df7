"""Accuracies of packaged experiments: those that README and the documentation print.

A training of the full form lies in a folder such as ``packaged/iris/full-ngspice-seed0``. A run that was trained
elsewhere with the same settings may be put there; it is taken as it is.
"""

from dataclasses import dataclass

from harness.experiment.experiment import Experiment
from harness.studies.reproduce.baselines import linear_scores
from harness.studies.reproduce.claim import Claim, Effort, Figure, Figures, Found
from harness.studies.reproduce.sweeps import digest_of_training, seeds_told, trained_run
from harness.training.controller import evaluate
from harness.wording import command

PAGE = "docs/pages/findings.md"
UNTRAINED, LINEAR = "before training", "linear model"
_SLACK = 0.02
"""Distance below a linear model that is still as good as one."""


@dataclass(frozen=True)
class _Row:
    """A packaged experiment, trained with its seeds as a user would."""

    experiment: str
    seeds: int
    chip: str = "ngspice"
    changes: tuple[str, ...] = ()
    linear: bool = True
    """False where a linear model has nothing to learn from, or stands in another row."""
    unit: str = "%"
    tolerance: float = 0.01
    brief: bool = True

    @property
    def command(self) -> str:
        """The command that trains it."""
        chip = [] if self.chip == "ngspice" else ["--chip", self.chip]
        changes = [word for change in self.changes for word in ("--set", change)]
        return command("train", self.experiment, *chip, *changes, *(["--seed", "N"] if self.seeds > 1 else []))

    def measure(self, effort: Effort) -> Figures:
        """Return held-out scores after training and before it, and those of a linear model on the same rows."""
        after, before, subjects = [], [], list[Experiment]()
        for seed in range(self.seeds if effort.full else 1):
            effort.check()
            subject = Experiment.load(
                self.experiment, [*self.changes, f"chip.kind={effort.chip}", f"training.seed={seed}"]
            )
            run = trained_run(effort, subject, f"{effort.form}-{effort.chip}-seed{seed}")
            after.append(float((run.result or {})["test_accuracy"]))
            with subject.replace({"chip.kind": "nodal"}).open_chip() as chip:
                before.append(evaluate(chip, subject.cost, subject.data.test).accuracy)
            subjects += [subject] if self.linear else []
            effort.tell(f"{self.experiment}, seed {seed}")
        found = {UNTRAINED: before, **({LINEAR: linear_scores(subjects)} if subjects else {})}
        controls = (Figure(series, self.experiment, tuple(values), control=True) for series, values in found.items())
        return (Figure("", self.experiment, tuple(after)), *controls)

    def claim(self, name: str) -> Claim:
        """Return it as a claim."""
        linear = ", and at most two points below a linear model on the same rows" if self.linear else ""
        return Claim(
            name,
            f"The packaged experiment {self.experiment} learns.",
            PAGE,
            f"above the same circuit before training{linear}",
            _learned,
            self.measure,
            "experiment",
            seeds_told(self.seeds),
            unit=self.unit,
            command=self.command,
            control=UNTRAINED + (f"; {LINEAR}: scikit-learn's, on the same rows" if self.linear else ""),
            note="The short form trains seed 0 to its end in the nodal chip." if self.brief else "",
            tolerance=self.tolerance,
            settings=lambda: digest_of_training(self.experiment, self.changes),
            chip=self.chip,
            brief=self.brief,
        )


def _learned(found: Found) -> bool:
    reached = found.of("").mean
    linear = [figure.mean for figure in found.along(LINEAR)]
    return reached > found.of(UNTRAINED).mean and all(reached > mean - _SLACK for mean in linear)


def _mnist(experiment: str, *changes: str, seeds: int = 1, chip: str = "nodal") -> _Row:
    """Return a row of MNIST, whose trainings take minutes; its linear model stands in the claim ``kendall/mnist``."""
    return _Row(experiment, seeds, chip, changes, linear=False, tolerance=0.003, brief=False)


_SQUARED = ("rule.cost=squared-error", "rule.nudging=spring")
_ANALYTICAL = ('rule={kind="analytical-gradient", cost="softmax-cross-entropy", temperature="0.3 V"}',)
_FINE = ("imperfect.levels=16777216", "imperfect.adc_bits=24")
_ROWS = {
    "digits": _Row("digits", 3),
    "digits-conv": _Row("digits-conv", 3, "nodal", brief=False),
    "digits-1t1r": _Row("digits-1t1r", 3, "nodal", brief=False),
    "digits-1t1r-ngspice": _Row("digits-1t1r", 1, "ngspice", ("training.epochs=1",), linear=False),
    "iris": _Row("iris", 5, tolerance=0.03),
    "iris-graph": _Row("iris-graph", 3, tolerance=0.03),
    "cascade-digits": _Row("cascade-digits", 3),
    "mondeq-digits": _Row("mondeq-digits", 3, "nodal"),
    "moons": _Row("moons", 3, tolerance=0.02),
    "regression": _Row("regression", 3, unit="R²"),
    "allostery": _Row("allostery", 3, unit="R²", linear=False),
    "xor": _Row("xor", 10),
    "xor-graph": _Row("xor-graph", 5, "nodal"),
    "mnist": _mnist("mnist", seeds=3),
    "mnist-ngspice": _mnist("mnist", chip="ngspice"),
    "mnist-512": _mnist("mnist-512", seeds=3),
    "mnist-512-ngspice": _mnist("mnist-512", chip="ngspice"),
    "mnist-512-squared": _mnist("mnist-512", *_SQUARED),
    "mnist-512-analytical": _mnist("mnist-512", *_ANALYTICAL),
    "mnist-512-still": _mnist("mnist-512", "data.translate=0"),
    "mnist-conv": _mnist("mnist-conv", seeds=3),
    "mnist-softmax": _mnist("mnist-softmax", chip="ngspice"),
    "mnist-4bit": _mnist("mnist-4bit"),
    "mnist-4bit-fine": _mnist("mnist-4bit", *_FINE),
    "mnist-5v": _mnist("mnist-5v"),
    "mnist-5v-ngspice": _mnist("mnist-5v", chip="ngspice"),
    "mnist-drn": _mnist("mnist-drn"),
    "mnist-drn-ngspice": _mnist("mnist-drn", chip="ngspice"),
}
CLAIMS = tuple(row.claim(name) for name, row in _ROWS.items())
