"""Claims are measured, judged, kept and recorded; a recorded figure that is no longer true is told."""

import json
import re
from dataclasses import replace
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path

import pytest
from click.testing import CliRunner

from harness.cli.main import main
from harness.cli.runs import reproduce as command_line
from harness.errors import ExperimentError, RunError
from harness.experiment.experiment import Experiment
from harness.studies.reproduce import recorded
from harness.studies.reproduce.catalog import GROUPS, chosen, every_claim
from harness.studies.reproduce.claim import Claim, Effort, Figure, Figures, Found, StoppedError
from harness.studies.reproduce.running import Result, Verdict, digest_of, measured
from harness.training.runs import Run

NOTHING_SET = sha256(b"").hexdigest()[:16]
"""Digest of no experiment at all."""
QUICK = ("kendall/gradient-of-beta", "kendall/amplifier", "kendall/xor", "lin/subset-curve", "chaffey/fixed-point")


def _told(values: tuple[float, ...], x: float = 1.0) -> Figures:
    return (Figure("", x, values),)


def _claim(figures: Figures, unit: str = "%", tolerance: float = 0.01) -> Claim:
    mean = lambda found: found.of("").mean > 0.5  # noqa: E731
    return Claim("one", "One.", "here", "above a half", mean, lambda _: figures, "x", "0", unit, tolerance=tolerance)


def _found(figures: Figures, form: str = "full") -> Found:
    return Found("g/one", figures, form, "nodal", "0.1.0", 0.1, "2026-11-28", NOTHING_SET)


def test_short_forms_of_all_papers_run_and_make_a_page(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["reproduce", *QUICK, "--short", "--to", str(tmp_path), "--json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert [claim["name"] for claim in told["claims"]] == list(QUICK)
    assert all(claim["found"]["figures"] and claim["criterion"] for claim in told["claims"])
    page = Path(told["page"]).read_text(encoding="utf-8")
    parser = _Well()
    parser.feed(page)
    assert parser.open == []
    assert page.count("<svg") == len(QUICK)
    assert "http" not in page.replace("http-equiv", "")
    for claim in told["claims"]:
        assert all(f"<td>{shown}</td>" in page or f">{shown}<" in page for shown in [claim["verdict"]])
    again = CliRunner().invoke(main, ["reproduce", *QUICK, "--short", "--to", str(tmp_path), "--json"])
    assert json.loads(again.stdout)["claims"] == told["claims"]  # read, seconds included, and not measured anew


class _Well(HTMLParser):
    """Keeps the elements that are open."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, _: object) -> None:
        if tag not in ("meta", "path", "use", "br", "img", "line", "circle", "rect"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if self.open and self.open[-1] == tag:
            self.open.pop()


def test_the_gradient_s_error_falls_with_beta_as_theory_says(tmp_path: Path) -> None:
    claims = chosen(("gradient-of-beta", "amplifier"))
    for result in measured(claims, Effort(tmp_path, full=True)):
        assert result.verdict is Verdict.HOLDS
        figures = tuple(replace(f, values=tuple(2 * v * float(f.x) ** -0.5 for v in f.values)) for f in _of(result))
        assert not result.claim.holds(replace(_found(figures)))  # figures of another law do not hold


def _of(result: Result) -> Figures:
    assert result.found is not None
    return result.found.figures


def test_verdicts_follow_the_criterion() -> None:
    good, bad = _found(_told((0.6, 0.8))), _found(_told((0.1,)))
    claim = _claim(_told((1.0,)))
    assert Result("g/one", claim, good).verdict is Verdict.HOLDS
    assert Result("g/one", claim, bad).verdict is Verdict.FAILS
    assert Result("g/one", claim, replace(bad, form="short")).verdict is Verdict.SHORT
    assert Result("g/one", claim, None, "no data").verdict is Verdict.MISSING


def test_a_measurement_that_is_stopped_goes_on_with_the_same_figures(tmp_path: Path) -> None:
    key = "lin/subset-curve"
    claims, asked = chosen((key,)), iter(range(10**9))
    with pytest.raises(StoppedError):
        list(measured(claims, Effort(tmp_path / "a", stop=lambda: next(asked) > 12)))
    runs = list((tmp_path / "a").rglob("manifest.json"))
    assert runs, "nothing was begun before it was stopped"
    (ended,) = measured(claims, Effort(tmp_path / "a"))
    (whole,) = measured(claims, Effort(tmp_path / "b"))
    assert _of(ended) == _of(whole)


def test_a_claim_that_cannot_be_measured_says_why(tmp_path: Path) -> None:
    def missing(_: Effort) -> Figures:
        raise ExperimentError("no data")

    claim = replace(_claim(_told((1.0,))), measure=missing)
    (result,) = measured({"g/one": claim}, Effort(tmp_path))
    assert (result.verdict, result.why) == (Verdict.MISSING, "no data")


def test_damaged_results_are_refused(tmp_path: Path) -> None:
    claims = {"g/one": _claim(_told((1.0,)))}
    list(measured(claims, Effort(tmp_path)))
    file = tmp_path / "g" / "one" / "short-nodal.json"
    file.write_text(file.read_text().replace("[\n        1.0\n      ]", '["x"]'))
    with pytest.raises(RunError, match="a figure is damaged"):
        list(measured(claims, Effort(tmp_path)))


def test_figures_of_fewer_seeds_are_not_taken_for_those_of_more(tmp_path: Path) -> None:
    one, two = _claim(_told((0.6,))), replace(_claim(_told((0.6, 0.7))), seeds="0–1")
    for claim, values in ((one, (0.6,)), (two, (0.6, 0.7)), (one, (0.6,))):
        (result,) = measured({"g/one": claim}, Effort(tmp_path, full=True))
        assert result.found is not None
        assert result.found.figures[0].values == values


@pytest.mark.parametrize(
    ("unit", "tolerance", "was", "now", "fresh"),
    [
        ("%", 0.01, 0.5, 0.509, True),
        ("%", 0.01, 0.5, 0.52, False),
        ("V²", 0.05, 1e-8, 1.04e-8, True),
        ("V²", 0.05, 1e-8, 1.2e-8, False),
        ("V²", 0.05, 1e-30, 3e-20, True),
    ],
)
def test_figures_that_moved_are_stale(
    unit: str, tolerance: float, was: float, now: float, fresh: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / recorded.FILE
    file.write_text("{}")
    claim = _claim(_told((was,)), unit, tolerance)
    recorded.record([Result("g/one", claim, _found(_told((was,))))], file)
    monkeypatch.setattr(recorded, "read", lambda: json.loads(file.read_text()))
    found = recorded.stale(Result("g/one", claim, _found(_told((now,)))))
    assert (found == []) is fresh
    assert recorded.stale(Result("g/one", claim, _found(_told((was, was)))))  # another seed


def test_a_changed_experiment_makes_both_forms_stale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Recording one form anew does not make the other one fresh."""
    file, claim = tmp_path / recorded.FILE, _claim(_told((0.5,)))
    file.write_text("{}")
    monkeypatch.setattr(recorded, "read", lambda: json.loads(file.read_text()))
    for form in ("full", "short"):
        recorded.record([Result("g/one", claim, _found(_told((0.5,)), form))], file)
    changed = replace(claim, settings=lambda: "other")
    short = replace(_found(_told((0.5,)), "short"), settings=digest_of(changed))
    assert len(recorded.stale(Result("g/one", changed, short))) == 2
    recorded.record([Result("g/one", changed, short)], file)
    (left,) = recorded.stale(Result("g/one", changed, short))
    assert left == recorded.Stale("g/one", "packaged experiments, full form", "as on 2026-11-28", "changed since")


def test_what_has_no_short_form_is_compared_by_its_experiment_and_told_with_its_day(tmp_path: Path) -> None:
    where = ["reproduce", "--check", "packaged/mnist-5v", "packaged/allostery", "--to", str(tmp_path)]
    done = CliRunner().invoke(main, where)
    assert done.exit_code == 0, done.output
    day = recorded.read()["packaged/mnist-5v"]["full"]["date"]
    assert re.search(rf"packaged/mnist-5v\s+{day}\s+0\.1\.0", done.stdout)
    assert "none of the recorded figures of 1 claim is stale" in done.stdout
    claim = replace(every_claim()["packaged/mnist-5v"], settings=lambda: "other")
    (one,) = recorded.stale(Result("packaged/mnist-5v", claim, None))
    assert one.now == "changed since"
    told = json.loads(CliRunner().invoke(main, [*where, "--json"]).stdout)
    assert told["no short form"] == {"packaged/mnist-5v": {"date": day, "version": "0.1.0"}}
    refused = CliRunner().invoke(main, ["reproduce", "packaged/mnist-5v", "--short", "--record", "--to", str(tmp_path)])
    assert "there is nothing to record: these claims have no short form" in refused.output


def test_a_check_measures_anew(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without a folder nothing is taken from an earlier check, whose program may have been another one."""
    monkeypatch.chdir(tmp_path)
    asked = []
    measure = every_claim()["packaged/allostery"].measure
    claim = replace(every_claim()["packaged/allostery"], measure=lambda e: (asked.append(e.folder), measure(e))[1])
    monkeypatch.setattr(command_line, "chosen", lambda _: {"packaged/allostery": claim})
    for _ in range(2):
        assert CliRunner().invoke(main, ["reproduce", "--check", "packaged/allostery"]).exit_code == 0
    assert len(set(asked)) == 2
    assert not any(folder.exists() for folder in asked)
    assert list(tmp_path.iterdir()) == []


def test_a_complete_run_of_the_same_settings_is_taken_and_another_is_refused(tmp_path: Path) -> None:
    claims = chosen(("packaged/allostery",))
    folder = tmp_path / "packaged" / "allostery" / "short-nodal-seed0"
    kept = Experiment.load("allostery", ["chip.kind=nodal", "training.seed=0"])
    kept.train(kept.create_run(folder), pictures=False)
    (result,) = measured(claims, Effort(tmp_path))
    assert _of(result)[0].values == ((Run(folder).result or {})["test_accuracy"],)
    other = Experiment.load("allostery", ["chip.kind=nodal", "training.seed=0", "training.epochs=2"])
    elsewhere = tmp_path / "b" / "packaged" / "allostery" / "short-nodal-seed0"
    other.train(other.create_run(elsewhere), pictures=False)
    with pytest.raises(RunError, match=r"training\.epochs"):
        list(measured(claims, Effort(tmp_path / "b")))


def test_a_recorded_figure_that_was_altered_is_found_by_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = ["--to", str(tmp_path)]
    fine = CliRunner().invoke(main, ["reproduce", "--check", "biased-updates", *where])
    assert (fine.exit_code, fine.stdout) == (0, "none of the recorded figures of 1 claim is stale\n")
    altered = recorded.read()
    altered["findings/biased-updates"]["short"]["figures"][0]["values"][0] *= 1.5
    monkeypatch.setattr(recorded, "read", lambda: altered)
    found = CliRunner().invoke(main, ["reproduce", "--check", "biased-updates", *where])
    assert found.exit_code == 1
    assert "findings/biased-updates" in found.stdout
    assert "--record" in found.stdout


def test_recorded_experiments_are_those_of_today() -> None:
    """A packaged experiment that changes makes figures stale, which tells at once."""
    content = recorded.read()
    now = {key: digest_of(every_claim()[key]) for key in content}
    kept = {
        key: {entry[form]["settings"] for form in ("full", "short") if form in entry} for key, entry in content.items()
    }
    assert kept == {key: {digest} for key, digest in now.items()}


def test_every_claim_has_a_control_a_criterion_and_a_command() -> None:
    for key, claim in every_claim().items():
        assert claim.control, key
        assert claim.criterion, key
        assert claim.command, key
        assert claim.seeds, key
    assert set(GROUPS) == {"kendall", "lin", "chaffey", "findings", "packaged"}


def test_wrong_names_get_the_nearest() -> None:
    with pytest.raises(ExperimentError, match="nothing is called 'kendal'; did you mean 'kendall'"):
        chosen(("kendal",))
    done = CliRunner().invoke(main, ["reproduce"])
    assert done.exit_code == 2
    assert "name a CLAIM: kendall, lin, chaffey, findings, packaged" in done.stderr
