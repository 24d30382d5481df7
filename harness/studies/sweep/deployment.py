"""Deployments: conductances that were trained once, used on many chips."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import ExperimentError
from harness.experiment.experiment import Experiment
from harness.studies.sweep.points import Point, grid
from harness.training.runs import Run


@dataclass(frozen=True)
class Deployment:
    """Conductances that are trained once for each seed, without what is swept, and then used at every point."""

    origins: Sequence[Point]
    """A training for each seed."""
    run: Path | None = None
    """A run whose conductances are taken, instead of training the only origin."""
    tune: int = 0
    """Epochs of training in place, after the evaluation."""
    train: bool = False
    """True to train every point from the beginning as well."""

    @classmethod
    def of(
        cls, source: str, *, seeds: int | None = None, overrides: Sequence[str] = (), tune: int = 0, train: bool = False
    ) -> "Deployment":
        """Deploy an experiment, as `Experiment.load` takes it, or a run, by its directory.

        Raises:
            ExperimentError: a key or value is wrong, or several seeds are asked of a run.
            RunError: the run has no checkpoint yet, was edited, or its data have changed.
        """
        if not is_run(source):
            return cls(grid(source, {}, seeds=seeds, overrides=overrides), None, tune, train)
        run = Run(Path(source))
        if seeds is not None:
            raise ExperimentError(f"{source} is a run of one seed; leave --seeds out, or deploy an experiment")
        Experiment.of_run(run).trained(run)
        return cls(grid(str(run.experiment), {}), run.path, tune, train)

    def check(self, points: Sequence[Point]) -> None:
        """Refuse points that the origins' conductances do not fit, or whose held-out rows the origins have seen.

        Raises:
            ExperimentError: such a point, with what differs.
        """
        origins = {origin.settings.training.seed: origin.settings for origin in self.origins}
        fitting: set[str] = set()
        for point in points:
            own = point.settings
            if (origin := origins.get(own.training.seed)) is None or own.data != origin.data:
                raise ExperimentError(
                    f"point {point.name}: its training.seed or [data] differs from that of the conductances that are "
                    "deployed, which have seen rows that it holds out; sweep other keys, and seeds with --seeds"
                )
            if own.network == origin.network or (text := f"{own.network} {own.training.seed}") in fitting:
                continue
            ours, theirs = (
                [(array.name, array.shape) for array in Experiment(each).circuit.arrays] for each in (own, origin)
            )
            if ours != theirs:
                raise ExperimentError(
                    f"point {point.name}: it has cells {_shapes(ours)}, but the conductances that are deployed are "
                    f"of {_shapes(theirs)}; a deployment cannot change the network's size"
                )
            fitting.add(text)


def is_run(source: str) -> bool:
    """Return True for a run directory, False for the name or file of an experiment."""
    return (Path(source) / "manifest.json").is_file()


def _shapes(arrays: Sequence[tuple[str, tuple[int, ...]]]) -> str:
    return " + ".join("×".join(map(str, shape)) for _, shape in arrays)
