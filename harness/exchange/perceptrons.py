"""Trained perceptrons programmed into cascades, and how well the circuits agree with them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harness.circuit.networks.perceptron import Perceptron, Realized, realize
from harness.errors import ExperimentError
from harness.experiment.chip import HERE, SimulatorChoice
from harness.experiment.experiment import Experiment
from harness.experiment.network import CascadeSettings
from harness.measurement import Drive
from harness.training.runs import Run, Start, refuse_existing
from harness.wording import counted


@dataclass(frozen=True)
class Agreement:
    """A cascade's outputs against its perceptron's, on the held-out rows before any training."""

    samples: int
    predictions_equal: float
    """Share of the samples."""
    largest_error: float
    """V."""
    mean_error: float
    """Root of the mean square, V."""
    signal: float
    """Root of the mean square of the perceptron's outputs, V."""
    perceptron_accuracy: float
    circuit_accuracy: float


def import_perceptron(
    experiment: Experiment, perceptron: Perceptron, folder: Path, *, simulators: SimulatorChoice = HERE
) -> tuple[Run, Agreement]:
    """Make a run that begins with a perceptron's weights; ``harness train --resume`` goes on from there.

    Hidden layers and buffers' gains of the experiment, a cascade, become those of the perceptron, which was trained on
    the experiment's inputs in volts before the input gain.

    Raises:
        ExperimentError: the experiment is no cascade, or the perceptron does not fit its data.
        RunError: something is at `folder` already.
        ChipError: the circuit does not settle.
    """
    refuse_existing(folder)
    fitted, realized = realization(experiment, perceptron)
    found = agreement(fitted, perceptron, realized, simulators)  # no run is left where the circuit does not settle
    origin = {"origin": {"perceptron": list(perceptron.hidden)}}
    return fitted.create_run(folder, Start(realized.conductances, origin)), found


def realization(experiment: Experiment, perceptron: Perceptron) -> tuple[Experiment, Realized]:
    """Return the experiment with a perceptron's sizes and gains, and the conductances that compute it.

    Raises:
        ExperimentError: the experiment is no cascade, or the perceptron does not fit its data.
    """
    network, data = experiment.settings.network, experiment.data
    if not isinstance(network, CascadeSettings):
        raise ExperimentError(f"experiment {experiment.settings.name}: a perceptron needs network.kind = 'cascade'")
    ends = perceptron.weights[0].shape[0], perceptron.weights[-1].shape[1]
    if ends != (data.channels, len(data.classes)):
        wanted = f"{counted(data.channels, 'input')} and {counted(len(data.classes), 'output')}"
        raise ExperimentError(
            f"perceptron: it has {counted(ends[0], 'input')} and {counted(ends[1], 'output')}, the data have {wanted}"
        )
    layers = len(perceptron.hidden)
    bias = [network.bias[0] if network.bias else 1.0, *[network.bias[-1] if network.bias else 1.0] * layers]
    changes = {"network.hidden": list(perceptron.hidden), "network.bias": bias, "network.buffer_gain": [1.0] * layers}
    rates = experiment.settings.update.rates
    changes["update.rates"] = [rates[0], *[rates[-1]] * layers]
    sized = experiment.replace(changes)
    realized = realize(perceptron, sized.circuit, network.input_gain)
    return sized.replace({"network.buffer_gain": list(realized.buffer_gain)}), realized


def agreement(
    experiment: Experiment, perceptron: Perceptron, realized: Realized, simulators: SimulatorChoice = HERE
) -> Agreement:
    """Compare a cascade with its perceptron on the held-out rows."""
    rows = experiment.data.test.batch(slice(None))
    with experiment.open_chip(simulators) as chip:
        chip.program(realized.conductances)
        (reading,) = chip.measure([Drive(rows.inputs)])
    wanted = perceptron.logits(rows.inputs) * realized.volts_per_logit
    error = reading.outputs - wanted
    ours, theirs, truth = (array.argmax(axis=1) for array in (reading.outputs, wanted, rows.targets))
    return Agreement(
        samples=len(rows),
        predictions_equal=float((ours == theirs).mean()),
        largest_error=float(np.abs(error).max()),
        mean_error=float(np.sqrt((error**2).mean())),
        signal=float(np.sqrt((wanted**2).mean())),
        perceptron_accuracy=float((theirs == truth).mean()),
        circuit_accuracy=float((ours == truth).mean()),
    )
