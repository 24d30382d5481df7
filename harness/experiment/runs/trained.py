"""A run's network as it was trained: the conductances of its last checkpoint, which must fit the circuit."""

from collections.abc import Mapping

from harness.circuit import Circuit
from harness.errors import RunError
from harness.training import parts
from harness.training.position import Position
from harness.training.runs import Run
from harness.units import show
from harness.wording import command

_ROUNDED = 1e-9
"""Part of g_max by which a conductance may be beyond its bounds."""


def checkpoint(run: Run) -> Position:
    """Return the position at which the training of a run stands.

    Raises:
        RunError: it has no checkpoint yet, or a damaged one.
    """
    if (position := run.position()) is None:
        onward = command("train", "--resume", run.path)
        raise RunError(f"run {run.path} has no checkpoint yet; go on with: {onward}")
    return position


def programmed(circuit: Circuit, run: Run, position: Position) -> Circuit:
    """The circuit with the conductances of a run's checkpoint.

    Raises:
        RunError: the circuit has other cells, or a conductance is beyond their bounds.
    """
    file, arrays = run.path / "checkpoint.npz", circuit.arrays
    ours, theirs = ([list(each.shape) for each in found] for found in (arrays, position.conductances))
    if ours != theirs:
        raise RunError(f"{file} is of another network: it has cells {theirs}, the experiment's are {ours}")
    for array, g in zip(arrays, position.conductances, strict=True):
        slack = _ROUNDED * array.g_max
        if g.min() < array.g_min - slack or g.max() > array.g_max + slack:
            found = f"{show(float(g.min()), 'S')}…{show(float(g.max()), 'S')}"
            bounds = f"{show(array.g_min, 'S')}…{show(array.g_max, 'S')}"
            raise RunError(f"{file} is of another network: {array.title} has {found}, its cells reach {bounds}")
    return circuit.with_conductances(position.conductances)


def told(run: Run, changes: Mapping[str, str]) -> str:
    """Return in a line where trained conductances are from: the run, what has changed since, and parts of one's own.

    Changes are values as people write them, by key.
    """
    text = f"trained in {run.path.resolve().name}"
    if own := parts.own_parts(run):
        text += f" by parts of one's own ({', '.join(f'{name}: {title}' for name, title in own.items())})"
    return text + (f", with {', '.join(f'{key} = {new}' for key, new in changes.items())}" if changes else "")
