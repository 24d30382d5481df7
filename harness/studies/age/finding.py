"""The finding of the documentation on phase-change cells: a trained network of digits after hours, days and a year."""

from harness.experiment.experiment import Experiment
from harness.studies.age.measuring import AS_IT_IS, REFRESHED, Compensation, Shelving, looks
from harness.studies.reproduce.claim import Claim, Effort, Figure, Figures, Found
from harness.studies.reproduce.sweeps import digest_of_training, trained_run
from harness.units import show_duration

_TIMES = (3600.0, 86400.0, 2592000.0, 31557600.0)
_DAY = 86400.0
_CHIPS = 3
_DRIFT = {"retention.drift": 0.05, "retention.drift_spread": 0.045}
_UNIFORM = {"retention.drift": 0.05}
_ALIKE = "every cell with the same ν"
_COMMAND = (
    "harness train digits --chip nodal --seed N; harness age runs/digits-seedN --set retention.drift=0.05 "
    "--set retention.drift_spread=0.045 --over 1h,1d,30d,1y --refresh 1d --compensate --per-output --chips 3"
)


def _digits(effort: Effort, seed: int) -> Experiment:
    short = [] if effort.full else ["training.epochs=1"]
    return Experiment.load("digits", [f"training.seed={seed}", f"chip.kind={effort.chip}", *short])


def _digest() -> str:
    return digest_of_training("digits", tuple(f"{key}={value}" for key, value in _DRIFT.items()))


def _aged(effort: Effort) -> Figures:
    """Return the accuracy of trained chips against time, for each use of the cells, and of the control."""
    values: dict[tuple[str, str], list[float]] = {}
    for seed in range(3 if effort.full else 1):
        subject = _digits(effort, seed)
        run = trained_run(effort, subject, f"digits-{effort.form}-seed{seed}")
        times = _TIMES if effort.full else _TIMES[-1:]
        kinds = (*Compensation,)
        chips = _CHIPS if effort.full else 1
        for laws, shelving, control in (
            (_DRIFT, Shelving(times, _DAY, kinds, chips), False),
            (_UNIFORM, Shelving(times, None, (), 1), True),
        ):
            for look in looks(subject.replace(laws), run, shelving):
                effort.check()
                if look.use.startswith(f"{REFRESHED},"):
                    continue
                use = _ALIKE if control else look.use
                after = show_duration(look.seconds) if look.seconds else "training"
                values.setdefault((use, after), []).append(look.accuracy)
    return tuple(Figure(use, after, tuple(found), use == _ALIKE) for (use, after), found in values.items())


def _spread_is_what_hurts(found: Found) -> bool:
    def lost(use: str) -> float:
        return found.of(use, found.places[0]).mean - found.of(use, found.places[-1]).mean

    return lost(AS_IT_IS) > 0.02 and max(lost(REFRESHED), lost(_ALIKE)) < 0.01


CLAIMS = (
    Claim(
        "ageing",
        "A network ages by what its cells differ in: drift that all cells share costs nothing, its spread does, and "
        "writing the cells again every day undoes it; scaling what is read does not.",
        "docs/pages/findings.md",
        "after a year two points are lost with a spread of ν, and less than one without it or when refreshed each day",
        _spread_is_what_hurts,
        _aged,
        "after",
        "0–2, 3 chips each",
        command=_COMMAND,
        control="the same mean drift with one ν for all cells",
        note="Cells drift with a mean ν of 0.05, and a spread of 0.045; the year's last refresh is six hours old.",
        tolerance=0.02,
        settings=_digest,
    ),
)
