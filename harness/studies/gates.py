"""The finding of the documentation on 1T1R arrays: accuracy against the gate voltage of the cells' transistors."""

from harness.experiment.experiment import Experiment
from harness.measurement import Conductances
from harness.studies.reproduce.claim import Claim, Effort, Figure, Figures, Found
from harness.studies.reproduce.sweeps import digest_of_training, trained_run
from harness.training.controller import evaluate

_GATES = (1.0, 1.5, 2.0, 2.5, 4.0)
"""V of all gate lines; the largest voltage of a word line is 2 V, and of a threshold 0.5 V."""
_LOW, _HIGH = 1.5, 4.0
_SEEDS = 3
_SHORT = ("training.epochs=1", "network.hidden=[4]")
_TRAINED, _MOVED = "trained on the transistors", "trained as a plain array, then put on them"
_PLAIN, _EXACT = "plain array, no transistors", "trained on them by hardware linearization"
_RULE = 'rule={kind="hardware-linearization"}'


def _subject(effort: Effort, seed: int, *changes: str) -> Experiment:
    short = () if effort.full else _SHORT
    return Experiment.load("digits-1t1r", [f"training.seed={seed}", f"chip.kind={effort.chip}", *short, *changes])


def without_selectors(subject: Experiment) -> Experiment:
    """Return an experiment with crossbars of plain cells in the places of its cells with transistors."""
    network = subject.settings.network.model_copy(update={"selector": None})
    return Experiment(subject.settings.model_copy(update={"network": network}))


def _reached(effort: Effort, subject: Experiment, name: str) -> float:
    """Return the accuracy that a training reaches."""
    return float((trained_run(effort, subject, name).result or {})["test_accuracy"])


def moved(effort: Effort, subject: Experiment, conductances: Conductances) -> float:
    """Return the accuracy of a plain array's conductances (S) in cells with transistors."""
    effort.check()
    with subject.open_chip() as chip:
        given = zip(conductances, chip.conductances, strict=True)
        chip.program([plain.reshape(own.shape) for plain, own in given])
        return evaluate(chip, subject.cost, subject.data.test).accuracy


def _accuracies(effort: Effort) -> Figures:
    """Return accuracies at each gate voltage, trained with and without transistors, and those of the plain array."""
    values: dict[tuple[str, float], list[float]] = {}
    gates = _GATES if effort.full else (_LOW, _HIGH)
    for seed in range(_SEEDS if effort.full else 1):
        name = f"{effort.form}-{effort.chip}-seed{seed}"
        plain = without_selectors(_subject(effort, seed))
        run = trained_run(effort, plain, f"plain-{name}")
        conductances = plain.trained(run).conductances
        for gate in gates:
            own = f"network.selector.gate={gate}"
            selected = _subject(effort, seed, own)
            found = {
                _TRAINED: _reached(effort, selected, f"{gate:g}V-{name}"),
                _MOVED: moved(effort, selected, conductances),
                _PLAIN: float((run.result or {})["test_accuracy"]),
            }
            if gate == gates[0]:
                found[_EXACT] = _reached(effort, _subject(effort, seed, own, _RULE), f"exact-{gate:g}V-{name}")
            for series, accuracy in found.items():
                values.setdefault((series, gate), []).append(accuracy)
            effort.tell(f"seed {seed}, gates at {gate:g} V")
    order = (_TRAINED, _MOVED, _PLAIN, _EXACT)
    ordered = sorted(values.items(), key=lambda item: order.index(item[0][0]))
    return tuple(Figure(s, gate, tuple(v), s in order[2:]) for (s, gate), v in ordered)


def _the_circuit_matters(found: Found) -> bool:
    plain = found.of(_PLAIN, _HIGH).mean
    near = all(abs(found.of(series, _HIGH).mean - plain) < 0.01 for series in (_TRAINED, _MOVED))
    return near and found.of(_TRAINED, _LOW).mean > found.of(_MOVED, _LOW).mean + 0.2


CLAIMS = (
    Claim(
        "gate-voltage",
        "Gates a threshold above the word lines cost nothing; lower ones ruin what a plain array learned, and hardly "
        "what was learned on the transistors.",
        "docs/pages/findings.md",
        "at 1.5 V, training on the transistors is twenty points better than training without them; at 4 V, neither is "
        "a point away from the plain array",
        _the_circuit_matters,
        _accuracies,
        "gate voltage (V)",
        f"0–{_SEEDS - 1}",
        command="harness train digits-1t1r --chip nodal --set network.selector.gate='1.5 V' --seed N",
        control=f"{_PLAIN}, the same for every gate voltage; and, at the lowest one, a rule whose gradient is exact",
        note="The plain array is the same experiment without `[network.selector]`; a function of this package puts its "
        "conductances into cells with transistors.",
        tolerance=0.03,
        settings=lambda: digest_of_training("digits-1t1r"),
    ),
)
