"""Findings of the documentation: each table of its page on what was found, with the sweep that makes it."""

from harness.experiment.experiment import Experiment
from harness.experiment.imperfect import ImperfectSettings
from harness.experiment.variation import VariationSettings
from harness.studies.reproduce.claim import Claim, Effort, Figure, Figures, Found, in_order
from harness.studies.reproduce.sweeps import Study, trained_run
from harness.training.controller import evaluate

_PAGE = "docs/pages/findings.md"
_CHIPS = 5
"""Number of chips that conductances of an ideal one are evaluated on."""
_RULES = Study(
    "digits",
    over={
        "rule.kind": (
            "equilibrium-propagation",
            "coupled-learning",
            "analytical-gradient",
            "hardware-linearization",
        )
    },
    seeds=3,
    short=("training.epochs=1",),
)
_SUBSETS = Study(
    "digits",
    over={"subset.choose": ("random", "largest")},
    seeds=3,
    overrides=("rule.kind=analytical-gradient", "subset.fraction=0.25"),
    short=("training.epochs=1",),
)
_REALISTIC = Study("digits-realistic", seeds=3, short=("training.epochs=1",))
_LINES = Study(
    "digits",
    over={"variation.line_bit": ("0", "10", "30", "100", "300", "1000")},
    overrides=("training.batch=64", "update.rates=[1e-2,1.5e-2]"),
    columns={"test_accuracy": "trained with it", "deployed_accuracy": "trained without it"},
    deploy=True,
    train=True,
    short=("training.epochs=1", "network.hidden=[10]"),
)
_BITS = Study(
    "digits",
    over={"imperfect.adc_bits": ("4", "6", "8", "10"), "rule.kind": ("equilibrium-propagation", "analytical-gradient")},
    seeds=3,
    overrides=("imperfect.adc_range='8 V'",),
    columns={"test_accuracy": "", "deployed_accuracy": "evaluated only"},
    deploy=True,
    train=True,
    short=("training.epochs=1",),
)
_RANGE = Study(
    "nonlinear-updates",
    over={"programming.on_off_ratio": ("1.2", "2", "10", "100")},
    seeds=3,
    controls=("programming.mode=exact",),
    columns={"test_accuracy": ""},
    names={"programming.mode=exact": "exact writes"},
    short=("training.epochs=1",),
)
_BIAS = Study(
    "biased-updates",
    over={"rule.eta": ("1", "1.4", "2", "2.8")},
    seeds=3,
    controls=("imperfect.update_bias=0",),
    columns={"test_loss": ""},
    names={"imperfect.update_bias=0": "no bias"},
    short=("training.epochs=5",),
)
_FLOOR = Study(
    "biased-updates",
    over={"rule.eta": ("1", "2", "4")},
    seeds=3,
    overrides=("training.epochs=400",),
    controls=("imperfect.update_bias=0",),
    columns={"test_loss": ""},
    names={"imperfect.update_bias=0": "no bias"},
    last=100,
    short=("training.epochs=5",),
)


def _rules(effort: Effort) -> Figures:
    titles = {
        "random": "analytical gradient, the same random quarter",
        "largest": "analytical gradient, the largest quarter",
    }
    quarters = _SUBSETS.measure(effort, "quarters")
    return (*_RULES.measure(effort, "rules"), *(Figure("", titles[str(f.x)], f.values, control=True) for f in quarters))


def _around_faults(effort: Effort) -> Figures:
    """Return accuracies of trained realistic chips, of ideal ones, and of what ideal ones learned on realistic ones."""
    (trained,) = _REALISTIC.measure(effort, "realistic")
    ideal, deployed = [], []
    for seed in range(3 if effort.full else 1):
        overrides = [f"training.seed={seed}", f"chip.kind={effort.chip}", *(() if effort.full else _REALISTIC.short)]
        realistic = Experiment.load("digits-realistic", overrides)
        settings = realistic.settings
        sound = settings.model_copy(update={"variation": VariationSettings(), "imperfect": ImperfectSettings()})
        run = trained_run(effort, Experiment(sound), f"ideal-{effort.form}-seed{seed}")
        conductances = Experiment(sound).trained(run).conductances
        ideal.append(float((run.result or {})["test_accuracy"]))
        for chip in range(_CHIPS):
            effort.check()
            own = realistic.replace({"variation.seed": 100 + chip})
            with own.open_chip() as made:
                made.program(conductances)
                deployed.append(evaluate(made, own.cost, own.data.test).accuracy)
    found = Figure("", "the realistic chip, trained on it", trained.values)
    return (
        found,
        Figure("", "the ideal chip", tuple(ideal), control=True),
        Figure("", "trained on the ideal chip, evaluated on five realistic ones", tuple(deployed), control=True),
    )


def _trained_is_better(found: Found) -> bool:
    trained, _, deployed = found.figures
    return trained.mean > deployed.mean + 0.1


def _lines_hurt(found: Found) -> bool:
    trained, deployed = (found.of(series, 1000.0).mean for series in _LINES.columns.values())
    return trained > deployed + 0.1


def _bits_hurt_contrasts(found: Found) -> bool:
    nudged, known = (found.of(rule, 6.0).mean for rule in _BITS.over["rule.kind"])
    return known > nudged + 0.1


def _range_explains(found: Found) -> bool:
    pulses, exact = (found.along(series) for series in ("", "exact writes"))
    return in_order(exact) and all(e.mean - p.mean < 0.03 for p, e in zip(pulses, exact, strict=True))


def _larger_steps_learn_faster(found: Found) -> bool:
    return all(in_order(found.along(series), rising=False) for series in ("", "no bias"))


def _has_a_floor(found: Found) -> bool:
    pairs = (zip(found.of("", eta).values, found.of("no bias", eta).values, strict=True) for eta in (1.0, 2.0))
    return all(biased > free for pair in pairs for biased, free in pair)


CLAIMS = (
    Claim(
        "rules",
        "On the same task, the rules differ by less than a seed does; writing a quarter of the cells costs little.",
        _PAGE,
        "the four rules lie within one point of each other",
        lambda found: max(f.mean for f in found.figures[:4]) - min(f.mean for f in found.figures[:4]) < 0.01,
        _rules,
        "rule",
        command=_RULES.command(),
        control="the rules are controls of each other",
        note=f"The quarters: {_SUBSETS.command()}",
        settings=lambda: _RULES.digest() + _SUBSETS.digest(),
    ),
    Claim(
        "realistic-chip",
        "A realistic chip is trained around its faults.",
        _PAGE,
        "trained on the realistic chip, ten points better than trained on the ideal one and evaluated there",
        _trained_is_better,
        _around_faults,
        "how",
        command=_REALISTIC.command(),
        control="the ideal chip, and its conductances on five realistic chips",
        tolerance=0.02,
        settings=_REALISTIC.digest,
    ),
    Claim(
        "line-resistance",
        "Line resistance hurts what was trained without it, and hardly learning with it.",
        _PAGE,
        "at 1 kΩ a segment, training with it is ten points better than training without it",
        _lines_hurt,
        lambda effort: _LINES.measure(effort, "lines"),
        "Ω of each segment of a bit line",
        command=_LINES.command(),
        control="the same chips, trained in place",
        tolerance=0.02,
        settings=_LINES.digest,
    ),
    Claim(
        "read-out",
        "A read-out of few bits hurts equilibrium propagation, not what was learned, and not every rule.",
        _PAGE,
        "at 6 bits, the analytical gradient is ten points above equilibrium propagation",
        _bits_hurt_contrasts,
        lambda effort: _BITS.measure(effort, "bits"),
        "bits",
        command=_BITS.command(),
        control="the analytical gradient, which reads one phase; and evaluation only",
        tolerance=0.03,
        settings=_BITS.digest,
    ),
    Claim(
        "nonlinear-updates",
        "A narrow range of conductances costs accuracy; nonlinear pulses cost little.",
        _PAGE,
        "exact writes lose accuracy as the range narrows, and are nowhere three points above pulses",
        _range_explains,
        lambda effort: _RANGE.measure(effort, "range"),
        "on/off ratio",
        command=_RANGE.command(),
        control="exact writes in the same range",
        tolerance=0.03,
        settings=_RANGE.digest,
    ),
    Claim(
        "biased-updates",
        "After 40 epochs, larger steps have learned more, with a bias of every write and without.",
        _PAGE,
        "the loss falls with η, in both",
        _larger_steps_learn_faster,
        lambda effort: _BIAS.measure(effort, "bias"),
        "η",
        unit="V²",
        command=_BIAS.command(),
        control="no bias",
        tolerance=0.05,
        settings=_BIAS.digest,
    ),
    Claim(
        "bias-floor",
        "A bias of every write leaves a floor.",
        _PAGE,
        "at η = 1 and 2 the loss with the bias is above that without it, for each seed",
        _has_a_floor,
        lambda effort: _FLOOR.measure(effort, "floor"),
        "η, mean of epochs 301–400",
        unit="V²",
        command=_FLOOR.command(),
        control="no bias",
        note="The command's table has the last epoch; the means are over column `test loss` of each run's epochs.csv.",
        tolerance=0.05,
        settings=_FLOOR.digest,
    ),
)
