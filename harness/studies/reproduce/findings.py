"""Findings of the documentation: each table of its page on what was found, with the sweep that makes it."""

from collections.abc import Set
from dataclasses import replace
from typing import Any

import numpy as np

from harness.experiment.experiment import Experiment
from harness.experiment.nonideal.imperfect import ImperfectSettings
from harness.experiment.nonideal.variation import VariationSettings
from harness.experiment.settings import Settings
from harness.measurement import Conductances
from harness.studies.reproduce.claim import Claim, Effort, Figure, Figures, Found, in_order
from harness.studies.reproduce.sweeps import Study, trained_run
from harness.training.controller import evaluate

_PAGE = "docs/pages/findings.md"
_CHIPS = 5
"""Number of chips that conductances of an ideal one are evaluated on."""
_FAULTS = {
    "cells that spread by 5 %": ("variation", ("spread",)),
    "1 % stuck cells": ("variation", ("stuck_at_min", "stuck_at_max")),
    "amplifiers' offsets of 5 mV": ("variation", ("amplifier_offset",)),
    "cells of 6 bits": ("imperfect", ("levels",)),
    "converters of 8 bits": ("imperfect", ("adc_bits", "adc_range", "dac_bits", "dac_range")),
    "read noise of 40 mV": ("imperfect", ("read_noise",)),
}
"""Faults of `digits-realistic`, each with its section and keys."""
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
    over={"variation.line_bit": ("0", "100", "300", "1000")},
    seeds=3,
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
_PACKAGED_NUDGE = 2e-6
"""S, that of `digits`."""
_NUDGES = Study(
    "digits",
    over={"rule.beta": ("0.5 uS", "1 uS", "2 uS", "4 uS", "7 uS")},
    seeds=3,
    overrides=("imperfect.adc_bits=6", "imperfect.adc_range='8 V'"),
    controls=("imperfect.adc_bits=24",),
    columns={"test_accuracy": ""},
    names={"imperfect.adc_bits=24": "24 bits"},
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
    over={"rule.eta": ("0.5", "1", "2")},
    seeds=3,
    overrides=("training.epochs=600",),
    controls=("imperfect.update_bias=0",),
    names={"imperfect.update_bias=0": "no bias"},
    parts=3,
    short=("training.epochs=6",),
)
_FLOOR_BY_RATE = replace(_FLOOR, over={"update.rates": ("[0.5]", "[1]", "[2]")}, controls=())


_WARM = Study(
    "iris",
    over={"imperfect.johnson_temperature": ("300", "1e6", "1e7", "1e8", "1e10")},
    seeds=3,
    overrides=("imperfect.johnson_bandwidth=1 MHz",),
    controls=("imperfect.johnson_bandwidth=0",),
    names={"imperfect.johnson_bandwidth=0": "no noise"},
    short=("training.epochs=5",),
)
_CASCADE = Study(
    "cascade-digits",
    over={"rule.kind": ("asymmetric-equilibrium-propagation", "hardware-linearization")},
    seeds=3,
    short=("training.epochs=1",),
)


def _floor(effort: Effort) -> Figures:
    """Return losses where η is changed, with the bias and without it, and where the rate is changed instead."""
    by_rate = _FLOOR_BY_RATE.measure(effort, "by-rate")
    found = [Figure(f"by the rate, {f.series}", float(str(f.x).strip("[]")), f.values, control=True) for f in by_rate]
    return (*_FLOOR.measure(effort, "floor"), *found)


def _bits(effort: Effort) -> Figures:
    """Return accuracies of both rules; what is only evaluated was trained once, by the packaged rule."""
    nudged, known = _BITS.over["rule.kind"]
    names = {nudged: nudged, known: known, f"evaluated only, {nudged}": "evaluated only"}
    found = [f for f in _BITS.measure(effort, "bits") if f.series in names]
    return tuple(Figure(names[f.series], f.x, f.values, f.series != nudged) for f in found)


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
    ideal, deployed = list[float](), dict[str, list[float]]()
    same = list[float]()
    for seed in range(3 if effort.full else 1):
        overrides = [f"training.seed={seed}", f"chip.kind={effort.chip}", *(() if effort.full else _REALISTIC.short)]
        realistic = Experiment.load("digits-realistic", overrides)
        sound = _only(realistic.settings, set())
        run = trained_run(effort, Experiment(sound), f"ideal-{effort.form}-{effort.chip}-seed{seed}")
        conductances = Experiment(sound).trained(run).conductances
        ideal.append(float((run.result or {})["test_accuracy"]))
        same.append(_deployed(effort, realistic.settings, None, conductances))
        faults = {_EVERY: realistic.settings, **{f: _only(realistic.settings, {f}) for f in _FAULTS}}
        for fault, settings in faults.items():
            reached = (_deployed(effort, settings, 100 + chip, conductances) for chip in range(_CHIPS))
            deployed.setdefault(fault, []).extend(reached)
    return (
        Figure("", "the realistic chip, trained on it", trained.values),
        Figure("", "the ideal chip", tuple(ideal), control=True),
        Figure("", "ideal chip's conductances, the same chips", tuple(same), control=True),
        *(Figure("", f"ideal chip's conductances, {f}", tuple(v), control=True) for f, v in deployed.items()),
    )


_EVERY = "other chips"


def _only(settings: Settings, faults: Set[str]) -> Settings:
    """Return settings whose chip has only some of the faults."""
    kept: dict[str, dict[str, Any]] = {"variation": {}, "imperfect": {}}
    for section, keys in (_FAULTS[fault] for fault in faults):
        kept[section] |= {key: getattr(getattr(settings, section), key) for key in keys}
    own = {"variation": VariationSettings(**kept["variation"]), "imperfect": ImperfectSettings(**kept["imperfect"])}
    return settings.model_copy(update=own)


def _deployed(effort: Effort, settings: Settings, seed: int | None, conductances: Conductances) -> float:
    """Return the accuracy of conductances on a chip of that seed; without one, on the chip of the training."""
    effort.check()
    own = Experiment(settings) if seed is None else Experiment(settings).replace({"variation.seed": seed})
    with own.open_chip() as made:
        made.program(conductances)
        return evaluate(made, own.cost, own.data.test).accuracy


def _trained_is_better(found: Found) -> bool:
    trained, _, same, others = found.figures[:4]
    chips = np.array(others.values).reshape(len(trained.values), -1)
    pairs = zip(trained.values, same.values, chips.mean(axis=1), strict=True)
    return all(t > s + 0.05 and t > o + 0.05 for t, s, o in pairs)


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


def _larger_nudges_read_better(found: Found) -> bool:
    return max(figure.mean for figure in found.along("")) > found.of("", _PACKAGED_NUDGE).mean + 0.05


def _warmth_hurts_late(found: Found) -> bool:
    cold, warm = found.of("no noise", 300.0).mean, found.of("", 300.0).mean
    return abs(warm - cold) < 0.01 and found.of("", 1e10).mean < cold - 0.05


def _nudged_cascades_learn(found: Found) -> bool:
    nudged, exact = found.figures
    return abs(nudged.mean - exact.mean) < 0.01


def _has_a_floor(found: Found) -> bool:
    """Return whether each seed's loss stays with the bias, falls with η, and is that of as large a rate."""
    windows = [name for name in found.series if f"{name}, no bias" in found.series]
    return bool(windows) and all(_floor_in(found, window) for window in windows)


def _floor_in(found: Found, window: str) -> bool:
    series = (window, f"{window}, no bias", f"by the rate, {window}")
    biased, free, by_rate = (np.array([figure.values for figure in found.along(name)]) for name in series)
    falls = np.all(np.diff(biased, axis=0) < 0)
    return bool(np.all(biased > free) and falls and np.allclose(biased, by_rate, rtol=1e-3, atol=0))


CLAIMS = (
    Claim(
        "rules",
        "On the same task, the rules differ by less than a seed does; writing a quarter of the cells costs little.",
        _PAGE,
        "the four rules lie within one point of each other",
        lambda found: max(f.mean for f in found.figures[:4]) - min(f.mean for f in found.figures[:4]) < 0.01,
        _rules,
        "rule",
        _RULES.told_seeds,
        command=_RULES.command(),
        control="the rules are controls of each other",
        note=f"The quarters: `{_SUBSETS.command()}`",
        settings=lambda: _RULES.digest() + _SUBSETS.digest(),
    ),
    Claim(
        "realistic-chip",
        "A realistic chip is trained around its faults.",
        _PAGE,
        "for each seed, five points above the ideal chip's conductances on the same chip, and on five others",
        _trained_is_better,
        _around_faults,
        "how",
        "0–2; other chips and single faults: five chips with each seed",
        command=_REALISTIC.command(),
        control="the ideal chip; and its conductances on the same chips, on others, and with each fault alone",
        note="The evaluations are functions of this package; no single command makes them.",
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
        _LINES.told_seeds,
        command=_LINES.command(),
        control="no resistance, the first row; and the same chips, trained in place",
        tolerance=0.02,
        settings=_LINES.digest,
    ),
    Claim(
        "read-out",
        "A read-out of few bits hurts equilibrium propagation, not what was learned, and not every rule.",
        _PAGE,
        "at 6 bits, the analytical gradient is ten points above equilibrium propagation",
        _bits_hurt_contrasts,
        _bits,
        "bits",
        _BITS.told_seeds,
        command=_BITS.command(),
        control="the analytical gradient, which reads one phase; and conductances that learned without a converter",
        tolerance=0.03,
        settings=_BITS.digest,
    ),
    Claim(
        "read-out-nudge",
        "With a read-out of few bits, equilibrium propagation learns better by a larger nudge.",
        _PAGE,
        "at 6 bits, the best β is five points above the packaged 2 µS",
        _larger_nudges_read_better,
        lambda effort: _NUDGES.measure(effort, "nudges"),
        "β (S)",
        _NUDGES.told_seeds,
        command=_NUDGES.command(),
        control="the same nudges and a converter of 24 bits",
        tolerance=0.03,
        settings=_NUDGES.digest,
    ),
    Claim(
        "nonlinear-updates",
        "A narrow range of conductances costs accuracy; nonlinear pulses cost little.",
        _PAGE,
        "exact writes lose accuracy as the range narrows, and are nowhere three points above pulses",
        _range_explains,
        lambda effort: _RANGE.measure(effort, "range"),
        "on/off ratio",
        _RANGE.told_seeds,
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
        _BIAS.told_seeds,
        unit="V²",
        command=_BIAS.command(),
        control="no bias",
        tolerance=0.05,
        settings=_BIAS.digest,
    ),
    Claim(
        "bias-floor",
        "A bias of every write keeps the loss up, and larger steps lower it, by η or by the rate.",
        _PAGE,
        "for each seed and both thirds, the loss with the bias is above that without it, falls with η, and is the same "
        "to a thousandth where the rate is changed instead of η",
        _has_a_floor,
        _floor,
        "η, or rate",
        _FLOOR.told_seeds,
        unit="V²",
        command=_FLOOR.command(),
        control="no bias; and the rate in place of η",
        note="The command's table has the last epoch; the means are over column `test loss` of each run's epochs.csv. "
        f"By the rate: `{_FLOOR_BY_RATE.command()}`",
        tolerance=0.05,
        settings=lambda: _FLOOR.digest() + _FLOOR_BY_RATE.digest(),
    ),
    Claim(
        "johnson-noise",
        "The heat of a room does not disturb learning at these voltages.",
        "docs/pages/physics/johnson-noise.md",
        "at 300 K the accuracy is within a point of that without noise, at 1e10 K five points below",
        _warmth_hurts_late,
        lambda effort: _WARM.measure(effort, "warm"),
        "temperature (K)",
        _WARM.told_seeds,
        command=_WARM.command(),
        control="no noise",
        tolerance=0.03,
        settings=_WARM.digest,
    ),
    Claim(
        "nudged-cascade",
        "Cascades learn by nudging as by hardware linearization.",
        "docs/pages/physics/asymmetric.md",
        "within one point of each other",
        _nudged_cascades_learn,
        lambda effort: _CASCADE.measure(effort, "cascade"),
        "rule",
        _CASCADE.told_seeds,
        command=_CASCADE.command(),
        control="hardware linearization, which measures the gradient itself",
        settings=_CASCADE.digest,
    ),
)
