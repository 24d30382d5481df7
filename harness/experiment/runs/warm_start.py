"""Training on from the conductances of a run, in a new run, with other rates, more epochs or another chip."""

from collections.abc import Sequence
from hashlib import sha256

from harness.errors import RunError
from harness.experiment.experiment import Experiment
from harness.experiment.runs.trained import programmed
from harness.training.parts import own_parts
from harness.training.runs import Run, Start


def warm_start(run: Run, overrides: Sequence[str] = ()) -> tuple[Experiment, Start]:
    """The experiment of a run with changes, and the run's conductances to begin with.

    The rows, their split, the network's edges and the chip are those of the run whatever training.seed becomes; the
    update rule begins without memory. The network may change where its cells stay the same ones.

    Raises:
        RunError: the run has no checkpoint, was edited, its data have changed, or its conductances do not fit the
            changed network.
        ExperimentError: a key or value is wrong.
    """
    position = run.position()
    if position is None:
        raise RunError(f"run {run.path} has no checkpoint yet, and so no conductances to begin with; resume it first")
    subject = Experiment.of_run(run, overrides, same=("data",))
    fitted = programmed(subject.circuit, run, position).conductances
    digest = sha256()
    for conductances in fitted:
        digest.update(conductances.tobytes())
    about = {
        "run": run.path.resolve().name,
        "epochs": position.epoch,
        "steps": position.step,
        "conductances_sha256": digest.hexdigest(),
        "changes": subject.changes_on(run),
        **({"own": own} if (own := own_parts(run)) else {}),
    }
    return subject, Start(fitted, {"origin": about})
