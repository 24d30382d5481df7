"""Claims of Chaffey 2025 on resistor–diode networks as monotone operator networks (arXiv 2509.13793)."""

import numpy as np

from harness.chip.nodal.chip import nodal_chip
from harness.circuit.monotone.monotone import network_of
from harness.circuit.monotone.splitting import forward_backward
from harness.experiment.experiment import Experiment
from harness.learning import Devices, EquilibriumPropagation, HardwareLinearization, Nudging, Variant
from harness.measurement import Drive
from harness.studies.reproduce.claim import Claim, Effort, Figure, Figures, Found, in_order
from harness.studies.reproduce.gradients import MakeRule, by_differences, errors, gradient_of, relative_error
from harness.studies.reproduce.sweeps import Study

_CHAFFEY = "Chaffey 2025"
_SMALL = ("network.hidden=[6]", "data.set=iris", "data.held_out=0.3")
"""Changes that make a packaged experiment small enough for finite differences."""
_EXACT, _NUDGED = "hardware linearization", "equilibrium propagation, one-sided"
_ACCURACY = 0.95
_RULES = Study(
    "mondeq-digits",
    over={"rule.kind": ("hardware-linearization", "analytical-gradient")},
    seeds=3,
    short=("training.epochs=1", "network.hidden=[6]"),
)
_CASCADES = Study(
    "cascade-digits",
    over={"network.hidden": ("[64]", "[]")},
    seeds=3,
    overrides=("network.bias=[]", "network.buffer_gain=[]", "update.rates=[5e-3]"),
    short=("training.epochs=1",),
)
_NEURONS = Study(
    "digits",
    over={"network.neuron": ("diode", "mosfet")},
    seeds=3,
    overrides=("network.transistor.transconductance='1 mA/V^2'", "network.transistor.threshold='0.2 V'"),
    short=("training.epochs=1",),
)


def _linearized(subject: Experiment, _: float, form: Devices = Devices.SLOPES) -> HardwareLinearization:
    return HardwareLinearization(subject.circuit, subject.cost, gamma=1e-6, form=form)


def _nudged(subject: Experiment, _: float) -> EquilibriumPropagation:
    how = {"beta": 1e-6, "variant": Variant.ONE_SIDED, "nudging": Nudging.CURRENT}
    return EquilibriumPropagation(subject.circuit, subject.cost, **how)  # type: ignore[arg-type]


def _exact(effort: Effort) -> Figures:
    places = [("resistor–diode network", "mondeq-digits", (*_SMALL, "update.rates=[5e-3]"))]
    rules: list[tuple[str, MakeRule, bool]] = [(_EXACT, _linearized, False), (_NUDGED, _nudged, True)]
    seeds = 3 if effort.full else 1
    cascade = [("amplified cascade", "cascade-digits", _SMALL)]  # has no energy, and so no contrast of phases
    return (
        *errors(effort, places, rules, seeds, truth=by_differences),
        *errors(effort, cascade, rules[:1], seeds, truth=by_differences),
    )


def _fixed_point(effort: Effort) -> Figures:
    """Return how far a circuit's hidden nodes are from the fixed point of the ReLU network, over the diodes' N."""
    found = []
    for emission in (1.0, 0.3, 0.1, 0.03):
        apart = []
        for seed in range(5 if effort.full else 1):
            effort.check()
            changes = (*_SMALL, f"training.seed={seed}", f"network.diode.emission={emission}", "update.rates=[5e-3]")
            subject = Experiment.load("mondeq-digits", changes)
            inputs = subject.data.train.batch(slice(20)).inputs
            network = network_of(subject.circuit)
            ideal = network.outputs(forward_backward(network, inputs), inputs)
            (reading,) = nodal_chip(subject.circuit).measure([Drive(inputs)])
            apart.append(float(np.abs(reading.outputs - ideal).max()))
        found.append(Figure("", emission, tuple(apart)))
    return tuple(found)


def _shorted(effort: Effort) -> Figures:
    """Return how far the gradient by shorts and opens is from the exact one, over the diodes' N, for each network."""
    found = []
    for emission in (0.08, 0.04, 0.02, 0.01):
        apart = []
        for seed in range(7 if effort.full else 3):
            effort.check()
            changes = (*_SMALL, f"training.seed={seed}", f"network.diode.emission={emission}", "update.rates=[5e-3]")
            subject = Experiment.load("mondeq-digits", (*changes, "network.diode.saturation_current=1 fA"))
            chip, batch = nodal_chip(subject.circuit, tolerance=1e-12), subject.data.train.batch(slice(20))
            rules = (_linearized(subject, 0.0, form) for form in Devices)
            exact, ideal = (gradient_of(rule, chip, batch) for rule in rules)
            apart.append(relative_error(ideal, exact))
        found.append(Figure("", emission, tuple(apart)))
    return tuple(found)


def _first_order(found: Found) -> bool:
    """Return whether the median error over the networks grows as N, to a tenth of an order."""
    figures = found.along("")
    sharpness, apart = zip(*((float(f.x), float(np.median(f.values))) for f in figures), strict=True)
    order, _ = np.polyfit(np.log(sharpness), np.log(apart), 1)
    return bool(abs(order - 1) < 0.1)


def _closer(found: Found) -> bool:
    figures = found.along("")
    return in_order(figures, rising=False) and figures[-1].mean < figures[0].mean / 10


CLAIMS = (
    Claim(
        "linearization",
        "Every diode replaced by its linearization, the circuit itself measures the gradient, exactly.",
        f"{_CHAFFEY}, abstract: hardware linearization",
        "relative error below 1e-4 against finite differences, in networks and in cascades",
        lambda found: all(figure.mean < 1e-4 for figure in found.along(_EXACT)),
        _exact,
        "circuit",
        "0–2",
        unit="relative",
        theirs="proved",
        command="harness audit mondeq-digits --chip nodal",
        control="equilibrium propagation with one nudge of 1 µS, which a cascade does not allow",
        note="Small networks of 6 hidden nodes on the irises, ten rows.",
        tolerance=0.5,
    ),
    Claim(
        "shorts-and-opens",
        "Diodes that conduct are shorts and those that block are open: that linear circuit gives the gradient.",
        f"{_CHAFFEY}, abstract: hardware linearization",
        "on real diodes, the median relative error is of first order in N (0.9 to 1.1)",
        _first_order,
        _shorted,
        "emission coefficient N of the diodes",
        "0–6",
        unit="relative",
        theirs="proved for ideal diodes",
        command="harness train mondeq-digits --chip nodal --set rule.form=ideal",
        control="the slopes of the diodes' laws, whose gradient is exact",
        note="Six hidden nodes on the irises, 20 rows, initial conductances, diodes of 1 fA.",
        tolerance=0.1,
    ),
    Claim(
        "linearization-learns",
        "Networks of resistors and diodes learn by that gradient.",
        f"{_CHAFFEY}, abstract: trained in a device-level simulation",
        "above 95 % of the 8×8 digits, and within a point of the computed gradient",
        lambda found: (
            found.of("", _RULES.over["rule.kind"][0]).mean > _ACCURACY
            and abs(found.of("", _RULES.over["rule.kind"][0]).mean - found.of("", _RULES.over["rule.kind"][1]).mean)
            < 0.01
        ),
        lambda effort: _RULES.measure(effort, "rules"),
        "rule",
        _RULES.told_seeds,
        theirs="no figure on these data",
        command=_RULES.command(),
        control="the gradient computed from the equations",
        settings=_RULES.digest,
    ),
    Claim(
        "fixed-point",
        "A resistor–diode circuit settles at the fixed point of a ReLU monotone operator network.",
        f"{_CHAFFEY}, abstract: port behavior of a resistor–diode network",
        "the largest distance of an output falls with the diodes' emission coefficient N, tenfold from 1 to 0.03",
        _closer,
        _fixed_point,
        "emission coefficient N of the diodes",
        "0–4",
        unit="V",
        theirs="proved for ideal diodes",
        command="harness.circuit.monotone: network_of and forward_backward beside the nodal chip",
        control="the fixed point by its own recursion, which knows no circuit",
        note="Six hidden nodes on the irises, 20 rows, initial conductances. Ideal diodes are N → 0.",
        tolerance=0.05,
    ),
    Claim(
        "cascades",
        "Stages joined by buffers are feed-forward networks, and learn.",
        f"{_CHAFFEY}, abstract: cascades",
        "with hidden diodes above 95 %, and above the same cascade without a hidden layer",
        lambda found: _ACCURACY < found.of("", "[64]").mean > found.of("", "[]").mean,
        lambda effort: _CASCADES.measure(effort, "cascades"),
        "hidden nodes",
        _CASCADES.told_seeds,
        theirs="no figure on these data",
        command=_CASCADES.command(),
        control="no hidden layer, which is a linear circuit",
        settings=_CASCADES.digest,
    ),
    Claim(
        "transistors",
        "Other monotone devices serve as nonlinearities, transistors connected as diodes among them.",
        f"{_CHAFFEY}, abstract: other nonlinear elements",
        "held-out accuracy with transistors within two points of that with diodes",
        lambda found: found.of("", "mosfet").mean > found.of("", "diode").mean - 0.02,
        lambda effort: _NEURONS.measure(effort, "neurons"),
        "device at the hidden nodes",
        _NEURONS.told_seeds,
        theirs="activation functions drawn, nothing trained",
        command=_NEURONS.command(),
        control="the diodes of the packaged experiment",
        settings=_NEURONS.digest,
    ),
)
