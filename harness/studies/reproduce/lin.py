"""Claims of Lin, Desai, Barrows and Caravelli 2026 on the analytical gradient of resistor networks.

arXiv 2602.03546.
"""

from dataclasses import replace

from harness.experiment.experiment import Experiment
from harness.learning import AnalyticalGradient, Form
from harness.studies.reproduce.claim import Claim, Effort, Figures, Found, in_order
from harness.studies.reproduce.gradients import MakeRule, by_differences, errors
from harness.studies.reproduce.sweeps import Study

_LIN = "Lin et al. 2026"
_GRAPHS = ("regression", "iris-graph", "allostery")
_ANALYTICAL = ("rule.kind=analytical-gradient",)
_SHARES = ("0.1", "0.25", "0.5", "1")
_RANDOM, _LARGEST = "random, once", "largest gradients, each step"
_NAMES = {"random": _RANDOM, "largest": _LARGEST}
_CURVE = Study(
    "regression",
    over={"subset.fraction": _SHARES, "subset.choose": ("random", "largest")},
    seeds=5,
    overrides=_ANALYTICAL,
    names=_NAMES,
    short=("training.epochs=3",),
)
_FAMILIES = Study(
    "regression",
    over={
        "network.shape": ("grid", "periodic-grid", "random-regular", "complete", "small-world"),
        "subset.choose": ("random", "largest"),
    },
    seeds=5,
    overrides=(*_ANALYTICAL, "subset.fraction=0.25", "network.nodes=36"),
    names=_NAMES,
    short=("training.epochs=3",),
)
_OHMS = Study(
    "regression",
    over={"update.rates": ("[0.02]", "[0.05]", "[0.1]")},
    seeds=5,
    overrides=(*_ANALYTICAL, "update.variable=resistance", "training.epochs=60"),
    controls=("update.variable=conductance",),
    names={"update.variable=conductance": "in conductances"},
    short=("training.epochs=3",),
)
_SPREAD = ("0", "0.1", "0.2", "0.3")
_TWIN = Study(
    "digits",
    over={"variation.spread": _SPREAD},
    seeds=2,
    chips=2,
    overrides=(*_ANALYTICAL, "chip.access=outputs", "training.epochs=3"),
    controls=("chip.access=nodes",),
    names={"chip.access=nodes": "all nodes read"},
    short=("training.epochs=1",),
)
_LINEAR_TWIN = Study(
    "regression",
    over={"variation.spread": _SPREAD},
    seeds=3,
    chips=2,
    overrides=_ANALYTICAL,
    controls=("rule.kind=coupled-learning",),
    names={"rule.kind=coupled-learning": "coupled learning, which reads all nodes"},
    short=("training.epochs=3",),
)
_BITS = Study(
    "digits",
    over={
        "imperfect.adc_bits": ("4", "6", "8", "10"),
        "rule.kind": ("analytical-gradient", "equilibrium-propagation"),
    },
    seeds=3,
    overrides=('imperfect.adc_range="8 V"',),
    short=("training.epochs=1",),
)


def _known(form: Form) -> MakeRule:
    def make(subject: Experiment, _: float) -> AnalyticalGradient:
        return AnalyticalGradient(subject.circuit, subject.cost, form=form)

    return make


def _exact(effort: Effort) -> Figures:
    places = [(name, name, ()) for name in _GRAPHS]
    rules = [(f"{form} form", _known(form), False) for form in Form]
    return errors(effort, places, rules, 3 if effort.full else 1, truth=by_differences)


def _few_suffice(found: Found) -> bool:
    random, largest = (found.along(name) for name in (_RANDOM, _LARGEST))
    return in_order(random, slack=0.02) and largest[1].mean > 0.99 and random[-1].mean > 0.99


def _chosen_cells_suffice(found: Found) -> bool:
    return all(figure.mean > 0.99 for figure in found.along(_LARGEST))


def _learns_in_ohms(found: Found) -> bool:
    return max(figure.mean for figure in found.along("")) > 0.99


def _bears_spread(found: Found) -> bool:
    figures = found.along("")
    return figures[-1].mean > figures[0].mean - 0.02


def _bears_few_bits(found: Found) -> bool:
    ours, nudged = (found.of(kind, 6.0).mean for kind in _BITS.over["rule.kind"])
    return ours > nudged + 0.1


def _relabelled(figures: Figures, titles: dict[str, str]) -> Figures:
    return tuple(replace(figure, series=titles.get(figure.series, figure.series)) for figure in figures)


def _outputs_only(effort: Effort) -> Figures:
    titles = {"": "outputs read, twin predicts the rest"}
    return _relabelled(_TWIN.measure(effort, "twin"), titles)


CLAIMS = (
    Claim(
        "exact-gradient",
        "The topology, the conductances and the measured outputs give the exact gradient of every conductance.",
        f"{_LIN}, cycle form and node form",
        "relative error below 1e-5 against finite differences, on each graph, for both forms",
        lambda found: all(figure.mean < 1e-5 for figure in found.figures),
        _exact,
        "linear graph",
        "0–2",
        unit="relative",
        theirs="derived",
        command="harness audit regression --chip nodal",
        control="finite differences, which move every cell and know no equation",
        note="What is left is the error of the finite differences.",
        tolerance=1.0,
    ),
    Claim(
        "subset-curve",
        "Learning needs to write only some of the conductances.",
        f"{_LIN}, subset updates",
        "R² rises with the share of random cells to above 0.99, which a quarter reaches where the cells with the "
        "largest gradients are chosen in each step",
        _few_suffice,
        lambda effort: _CURVE.measure(effort, "subset"),
        "share of the edges that is written",
        _CURVE.told_seeds,
        unit="R²",
        theirs="little loss; no figure on this task",
        command=_CURVE.command(),
        control="all edges written, the last row",
        note="A linear 6×6 grid. How a quarter is chosen decides: a random one, drawn once, is not enough here.",
        tolerance=0.03,
        settings=_CURVE.digest,
    ),
    Claim(
        "subset-topologies",
        "Subset updates learn in graphs of every kind.",
        f"{_LIN}, subset updates",
        "R² above 0.99 in each family when the quarter with the largest gradients is written",
        _chosen_cells_suffice,
        lambda effort: _FAMILIES.measure(effort, "families"),
        "family of graphs",
        _FAMILIES.told_seeds,
        unit="R²",
        theirs="no figure on this task",
        command=_FAMILIES.command(),
        control="a random quarter, drawn once",
        note="Graphs of 36 nodes, linear.",
        tolerance=0.03,
        settings=_FAMILIES.digest,
    ),
    Claim(
        "resistances",
        "The rule can be written in resistances, and learns as it does in conductances.",
        f"{_LIN}, ∂C/∂R in cycle form",
        "R² above 0.99 at one of the rates",
        _learns_in_ohms,
        lambda effort: _OHMS.measure(effort, "ohms"),
        "rate of Adam (1/g_unit, or g_unit)",
        _OHMS.told_seeds,
        unit="R²",
        theirs="no figure on this task",
        command=_OHMS.command(),
        control="the same rule with steps in conductances",
        tolerance=0.05,
        settings=_OHMS.digest,
    ),
    Claim(
        "wrong-twin",
        "Outputs alone need to be read, even if the true conductances differ from the programmed ones.",
        f"{_LIN}, output-only learning",
        "held-out accuracy with cells that spread by 30 % is at most two points below that without spread",
        lambda found: _bears_spread(replace(found, figures=_relabelled(found.figures, {found.series[0]: ""}))),
        _outputs_only,
        "spread of the cells",
        _TWIN.told_seeds,
        theirs="argued; no figure for a network with diodes",
        command=_TWIN.command(),
        control="the same rule, reading all nodes of the same chips",
        note="The chip learns in place: its cells differ from what the rule believes.",
        tolerance=0.02,
        settings=_TWIN.digest,
    ),
    Claim(
        "wrong-twin-linear",
        "So it is on linear graphs, where the rule computes all inner voltages.",
        f"{_LIN}, output-only learning",
        "R² with a spread of 30 % is at most 0.02 below that without spread",
        _bears_spread,
        lambda effort: _LINEAR_TWIN.measure(effort, "linear-twin"),
        "spread of the cells",
        _LINEAR_TWIN.told_seeds,
        unit="R²",
        theirs="argued",
        command=_LINEAR_TWIN.command(),
        control="coupled learning, which reads the true voltages",
        tolerance=0.02,
        settings=_LINEAR_TWIN.digest,
    ),
    Claim(
        "read-out-bits",
        "A rule that reads one phase bears a coarser read-out than one that takes the difference of two.",
        f"{_LIN}, on what is measured",
        "at 6 bits, the analytical gradient is more than ten points above equilibrium propagation",
        _bears_few_bits,
        lambda effort: _BITS.measure(effort, "bits"),
        "bits of the read-out",
        _BITS.told_seeds,
        theirs="argued; no figure",
        command=_BITS.command(),
        control="equilibrium propagation on the same chip",
        tolerance=0.04,
        settings=_BITS.digest,
    ),
)
