"""Figures in README and in the pages are those that were recorded, with their seeds, control and command."""

import io
import re

import numpy as np
import pytest
from matplotlib.image import imread

from harness.report.reproduction import picture
from harness.studies.reproduce import recorded
from harness.studies.reproduce.catalog import every_claim
from harness.studies.reproduce.running import Result, Verdict
from tests.page_figures import PAGES_WITH_FIGURES, PICTURES, PLACE, full, score, table_of, written
from tests.pages import PAGES, ROOT

DOCUMENTED = [key for key in every_claim() if key.split("/")[0] in ("findings", "packaged")]
SHOWN = [*DOCUMENTED, "kendall/mnist"]
_PERCENT = re.compile(r"\d[\d.,]* ?%")


def test_tables_are_those_that_were_recorded() -> None:
    """``make figures`` writes them after ``harness reproduce --record``."""
    for page in PAGES_WITH_FIGURES:
        text = page.read_text(encoding="utf-8")
        assert written(text) == text, page.name


def test_every_recorded_finding_is_shown() -> None:
    shown = {place[2] for page in PAGES_WITH_FIGURES for place in PLACE.finditer(page.read_text(encoding="utf-8"))}
    told = {"findings/nudged-cascade"}  # in a sentence
    assert shown | told == {key for key in SHOWN if not key.startswith("packaged/")} | {"packaged"}
    assert set(recorded.read()) == set(SHOWN)


def test_every_table_of_findings_has_seeds_a_control_and_a_command() -> None:
    """Tables without them cannot stand on the page: those that are written have them, and there are no others."""
    text = PAGES_WITH_FIGURES[0].read_text(encoding="utf-8")
    assert not re.search(r"^\|", PLACE.sub("", text), re.M)
    for key in SHOWN:
        table = table_of("packaged" if key.startswith("packaged/") else key)
        claim = every_claim()[key]
        assert claim.seeds in table
        assert f"`{claim.command}`" in table
        assert claim.control.partition(";")[0] in table
        assert full(key).date in table


@pytest.mark.parametrize("key", SHOWN)
def test_recorded_figures_are_whole_and_hold(key: str) -> None:
    """As many values as seeds are named; the criterion holds, as the page says; there is a short form to check."""
    claim, found = every_claim()[key], full(key)
    entry = recorded.read()[key]
    last, chips = re.match(r"0(?:–(\d+))?(?:, (\d+) chips each)?", claim.seeds).groups()  # type: ignore[union-attr]
    assert len(found.figures[0].values) == (int(last or 0) + 1) * int(chips or 1)
    assert Result(key, claim, found).verdict is Verdict.HOLDS
    assert ("short" in entry) is claim.brief
    told = {name: entry[name] for name in ("command", "control", "seeds", "tolerance", "unit")}
    assert told == {name: getattr(claim, name) for name in told}


@pytest.mark.parametrize("key", [key for key in DOCUMENTED if key.startswith("packaged/") and every_claim()[key].brief])
def test_both_simulators_agree_on_seed_0(key: str) -> None:
    """The short form trained it in the nodal chip, the full one in the chip that the table names."""
    short = recorded.recorded(key, "short")
    assert short is not None
    assert short.figures[0].values[0] == pytest.approx(full(key).figures[0].values[0], abs=every_claim()[key].tolerance)


@pytest.mark.parametrize("name", PICTURES)
def test_pictures_show_what_was_recorded(name: str) -> None:
    """Pixel by pixel, but for a few of letters that another version of Matplotlib draws otherwise."""
    key = PICTURES[name]
    drawn = imread(io.BytesIO(picture(every_claim()[key], full(key))))
    kept = imread(PAGES / "pictures" / name)
    assert drawn.shape == kept.shape
    assert np.mean(np.abs(drawn - kept).max(axis=2) > 0.1) < 0.002


def mean(key: str, series: str = "", x: float | str | None = None) -> str:
    """Return a recorded mean as pages show it."""
    return score(every_claim()[key], full(key).of(series, x).values, each=False)


def of_seed(key: str, seed: int, digits: int) -> str:
    """Return the recorded figure of one seed, %."""
    return f"{100 * full(key).of('').values[seed]:.{digits}f} %"


SENTENCES = {
    "README.md": [
        f"half a minute, {of_seed('packaged/digits', 0, 0)} right on images that it never saw",
        f"test accuracy {of_seed('packaged/iris', 0, 2)}",
        f"{mean('packaged/mnist-512-ngspice')} of MNIST's 10,000 test images, by equilibrium propagation entirely in",
    ],
    "docs/pages/first-run.md": [f"test accuracy {of_seed('packaged/iris', 0, 2)}"],
    "docs/pages/tutorials/designers.md": [f"test accuracy {of_seed('packaged/iris', 0, 2)}"],
    "docs/pages/physics/asymmetric.md": [
        f"{mean('findings/nudged-cascade', '', 'asymmetric-equilibrium-propagation')} of the held-out images are right",
    ],
}
"""Sentences, as they stand in a file, whose figures are recorded ones."""


@pytest.mark.parametrize("name", SENTENCES)
def test_sentences_have_the_recorded_figures(name: str) -> None:
    text = " ".join((ROOT / name).read_text(encoding="utf-8").split())
    for sentence in SENTENCES[name]:
        assert sentence in text


def test_what_is_said_of_biased_writes_is_in_their_record() -> None:
    found = full("findings/bias-floor")
    names = [name for name in found.series if f"{name}, no bias" in found.series]
    before, last = (np.array([figure.values for figure in found.along(name)]) for name in names)  # η × seeds
    free = np.array([figure.values for figure in found.along(f"{names[1]}, no bias")])
    assert (last >= 10 * free).all()
    factors = last[:-1] / last[1:]
    assert (f"{factors.min():.1f}", f"{factors.max():.1f}") == ("2.6", "3.9")
    assert (last / before)[2].max() > 10
    assert (last / before).min() == pytest.approx(1 / 3, abs=0.1)


NO_RESULTS = {
    "README.md": {"10 %"},  # what cells spread by
    "docs/pages/findings.md": {"1 %", "5 %", "96.57 %"},  # strengths of faults, and the figure of Kendall et al.
}
"""Percentages of prose that are settings, or a paper's."""


@pytest.mark.parametrize("name", NO_RESULTS)
def test_prose_has_no_other_percentages(name: str) -> None:
    """A figure that nobody recorded is never stale. What commands print is compared in `tests.test_readme`."""
    text = re.sub(r"^```.*?^```", "", PLACE.sub("", (ROOT / name).read_text(encoding="utf-8")), flags=re.S | re.M)
    prose = " ".join(text.split())
    for sentence in SENTENCES.get(name, []):
        prose = prose.replace(sentence, "")
    assert set(_PERCENT.findall(prose)) <= NO_RESULTS[name]


HEADS = {
    **{name: f"packaged/{name}" for name in ("digits", "digits-conv", "iris", "iris-graph", "cascade-digits", "moons")},
    **{
        name: f"packaged/{name}"
        for name in ("mnist", "mnist-512", "mnist-conv", "mnist-softmax", "mnist-4bit", "mnist-5v", "mnist-drn")
    },
    "mondeq-digits": "packaged/mondeq-digits",
    "digits-1t1r": "packaged/digits-1t1r",
    "digits-realistic": "findings/realistic-chip",
}
"""Packaged experiments whose first line has a recorded mean."""


@pytest.mark.parametrize("name", HEADS)
def test_first_lines_of_packaged_experiments_have_the_recorded_means(name: str) -> None:
    head = (ROOT / "harness" / "experiment" / "packaged" / f"{name}.toml").read_text(encoding="utf-8")
    found = full(HEADS[name])
    values, seeds = found.figures[0].values, "mean of seeds 0-" if len(found.figures[0].values) > 1 else "(seed 0)"
    assert head.startswith(f"# Expected: {100 * sum(values) / len(values):.1f} % of the ")
    assert f"{seeds}{len(values) - 1 if len(values) > 1 else ''}" in head.splitlines()[0]


@pytest.mark.parametrize("name", ["mnist", "mnist-512", "mnist-5v", "mnist-drn"])
def test_both_simulators_read_as_many_images_of_mnist_right(name: str) -> None:
    nodal, ngspice = (full(f"packaged/{key}").figures[0].values[0] for key in (name, f"{name}-ngspice"))
    assert nodal == pytest.approx(ngspice, abs=1e-9)
