"""`harness benchmark`: figures of experiments as they train, kept in a file, and compared with it."""

import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from harness.cli.main import main
from harness.errors import RunError
from harness.experiment.experiment import Experiment
from harness.studies.benchmark import against, measuring, record
from harness.studies.benchmark.noise import Verdict
from harness.studies.benchmark.parts import NAMES
from harness.studies.benchmark.record import Record, Times, read, written
from harness.studies.benchmark.subjects import Subject

QUICK = ("--seconds", "0.1", "--workers", "1")


def benchmark(*words: object) -> Result:
    return CliRunner().invoke(main, ["benchmark", *map(str, words)])


@pytest.mark.ngspice
def test_the_set_is_measured_kept_and_compared_and_mnist_left_out_without_its_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "harness.cli.machine.benchmark.SHIPPED",
        {"mnist": ("mnist", ()), "whole": ("iris", ("training.batch=105",))},
    )
    (tmp_path / "nothing").mkdir()
    file = tmp_path / "then.json"
    first = benchmark(*QUICK, "--data-dir", tmp_path / "nothing", "--to", file)
    assert first.exit_code == 0, first.output
    assert "mnist was left out: data set mnist: " in first.stdout
    assert "whole" in first.stdout
    assert f"wrote {file}" in first.stderr
    kept = read(file)
    assert [(figure.name, figure.chip) for figure in kept.figures] == [
        ("whole", "ngspice"),
        ("whole", "nodal"),
    ]
    for figure in kept.figures:
        assert len(figure.times.seconds) == len(figure.times.processor_seconds) == measuring.ROUNDS <= figure.blocks
        assert sum(figure.shares.values()) == pytest.approx(1.0)
        assert set(figure.shares) == set(NAMES)
        assert figure.samples_per_second * sorted(figure.times.processor_seconds)[4] == pytest.approx(figure.samples)
    assert kept.figures[0].shares["analysis"] > 0.02
    assert kept.figures[1].shares["solver"] > 0.1
    assert {"harness", "numpy", "ngspice", "linear solver"} <= set(kept.versions)
    second = benchmark(
        "--seconds", "0.1", "--workers", "2", "--data-dir", tmp_path / "nothing", "--against", file, "--json"
    )
    found = json.loads(second.stdout)
    assert {one["verdict"] for one in found["against"]["figures"]} <= set(Verdict)
    assert [one["then"] for one in found["against"]["figures"]] == [f.samples_per_second for f in kept.figures]
    assert found["left_out"].keys() == {"mnist"}
    (several,) = found["shared"]
    assert (several["name"], several["processes"]) == ("whole", 2)
    assert several["samples_per_second"] > 0
    assert several["peak_worker_mb"] > 20
    assert Record.model_validate_json(json.dumps(found)).figures[0].name == "whole"


def test_an_experiment_on_the_nodal_chip_needs_no_ngspice() -> None:
    shown = benchmark("iris", "regression", "iris", "--set", "chip.kind=nodal", "--set", "training.batch=100", *QUICK)
    assert shown.exit_code == 0, shown.output
    assert "% of a step, nodal   iris   regression" in shown.stdout
    assert "parser" not in shown.stdout


def test_a_board_has_a_pace_of_its_own() -> None:
    shown = benchmark("xor", "--set", "chip.kind=bench", "--set", "chip.profile=virtual", *QUICK)
    assert shown.exit_code == 2
    assert "only simulated chips are measured" in shown.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["iris", "--ways", "--scaling"], "give --ways or --scaling, not both"),
        (["--ways"], "--ways is for one experiment"),
        (["iris", "xor", "--scaling"], "--scaling is for one experiment"),
        (["iris", "--seconds", "nan"], "nan is no number of seconds"),
        (["iris", "--seconds", "inf"], "inf is no number of seconds"),
        (["iris", "--to", "nowhere/a.json"], "there is no folder nowhere"),
        (["irs"], "there is no experiment 'irs'"),
    ],
)
def test_wrong_usage_is_said_before_anything_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    shown = benchmark(*words)
    assert shown.exit_code == 2
    assert message in shown.stderr
    assert not list(tmp_path.iterdir())


TIMES = {"seconds": [0.12] * 9, "processor_seconds": [0.1, 0.11, 0.12] * 3}


def made(**changes: Any) -> dict[str, Any]:
    """A record of one figure."""
    figure = {"name": "iris", "chip": "nodal", "sha256": "0" * 64, "samples": 130, "blocks": 20, "times": TIMES}
    return {
        "format": "harness benchmark",
        "version": 1,
        "when": "2026-11-28T00:00:00+00:00",
        "machine": {"processor": "some", "cores": 2, "system": "Linux"},
        "versions": {"numpy": "2"},
        "commit": None,
        "seconds": 4.0,
        "fixed_work": TIMES,
        "figures": [{**figure, "shares": {"rest": 1.0}}],
        "shared": [],
        "left_out": {},
        **changes,
    }


def kept(folder: Path, content: object) -> Path:
    file = folder / "then.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return file


def figure(**changes: Any) -> dict[str, Any]:
    return made(figures=[{**made()["figures"][0], **changes}])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "then.json: not valid JSON"),
        ("[]", "it holds no JSON object"),
        ("{}", "it is no record of harness benchmark; write one with harness benchmark --to FILE"),
        ({"format": "sweep"}, "it is no record of harness benchmark"),
        (made(version=2), "it is a record of version 2, and this harness reads version 1"),
        (made(version="1"), "it is a record of version '1', and this harness reads version 1"),
        (made(figures=7), "is damaged: figures: "),
        (made(versions={"numpy": 2}), "is damaged: versions.numpy: "),
        (made(when="x" * 2000), "is damaged: when: "),
        (made(figures=[]), "is damaged: figures: "),
        (figure(samples="130"), "is damaged: figures.0.samples: "),
        (figure(samples=0), "is damaged: figures.0.samples: "),
        (figure(samples=True), "is damaged: figures.0.samples: "),
        (figure(shares={"rest": 1.5}), "is damaged: figures.0.shares.rest: "),
        (figure(sha256="short"), "is damaged: figures.0.sha256: "),
        (figure(times={**TIMES, "seconds": []}), "is damaged: figures.0.times.seconds: "),
        (figure(times={**TIMES, "processor_seconds": [0.0]}), "is damaged: figures.0.times.processor_seconds.0: "),
        (json.dumps(figure()).replace("130", "1e999"), "1e999 is no finite number"),
        (json.dumps(made()).replace('"numpy": "2"', '"numpy": "2", "numpy": "3"'), "key 'numpy' is there twice"),
    ],
)
def test_a_file_that_is_no_record_is_one_sentence_and_nothing_is_measured(
    tmp_path: Path, content: object, message: str
) -> None:
    shown = benchmark("iris", "--against", kept(tmp_path, content))
    assert shown.exit_code != 0
    assert message in shown.stderr
    assert shown.stderr.strip().count("\n") == 0
    assert not shown.stdout


def test_a_pipe_or_a_huge_file_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(RunError, match="it is a named pipe, not a plain file"):
        read(tmp_path / "pipe")
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(11_000_000)
    with pytest.raises(RunError, match="at most 10,000,000 are read"):
        read(tmp_path / "huge")


@given(at=st.floats(0, 1), cut=st.integers(0, 40), put=st.binary(max_size=20))
def test_a_damaged_file_is_refused_or_read_whole(
    tmp_path_factory: pytest.TempPathFactory, at: float, cut: int, put: bytes
) -> None:
    whole = json.dumps(made()).encode()
    begin = int(at * len(whole))
    file = tmp_path_factory.getbasetemp() / "damaged.json"
    file.write_bytes(whole[:begin] + put + whole[begin + cut :])
    told = ""
    try:
        found = read(file)
        told = "compared" if against.compare(found, found).machine.ratio == 1.0 else told
    except RunError as error:
        told = str(error)
    assert told == "compared" or (told.startswith(f"{file}") and "\n" not in told)


positive = st.floats(1e-6, 1e4)
rounds = st.lists(positive, min_size=1, max_size=12).map(tuple)
texts = st.text(st.characters(exclude_categories=["C"]), max_size=20)


@given(seconds=rounds, processor=rounds, name=texts, commit=st.none() | texts, left_out=st.dictionaries(texts, texts))
def test_a_record_comes_back_from_its_file(
    tmp_path_factory: pytest.TempPathFactory, seconds: Any, processor: Any, name: str, commit: Any, left_out: Any
) -> None:
    times = {"seconds": seconds, "processor_seconds": processor}
    content = json.dumps(figure(name=name, times=times) | {"commit": commit, "left_out": left_out})
    first = Record.model_validate_json(content)
    file = tmp_path_factory.getbasetemp() / "record.json"
    file.write_bytes(written(first))
    assert read(file) == first


def test_what_differs_is_said_and_other_experiments_are_not_compared() -> None:
    then = Record.model_validate_json(json.dumps(made()))
    now = Record.model_validate_json(
        json.dumps(figure(sha256="1" * 64) | {"machine": {"processor": "other", "cores": 4, "system": "Linux"}})
    )
    found = against.compare(now, then)
    assert found.figures == ()
    assert found.notes == (
        "processor: some then, other now",
        "cores: 2 then, 4 now",
        "iris in the nodal chip: the experiment was another one then; the figures do not compare",
    )
    more = Record.model_validate_json(json.dumps(figure(chip="ngspice") | {"versions": {}}))
    assert against.compare(more, then).notes == (
        "numpy: 2 then, nothing now",
        "iris in the ngspice chip: the earlier call has no such figure",
        "not measured now: iris (nodal)",
    )


def test_a_gain_is_seen_and_noise_is_not() -> None:
    then = Record.model_validate_json(json.dumps(made()))
    half = {name: [second / 2 for second in seconds] for name, seconds in TIMES.items()}
    (one,) = against.compare(Record.model_validate_json(json.dumps(figure(times=half))), then).figures
    assert (one.verdict, one.ratio.ratio, one.now) == (Verdict.FASTER, pytest.approx(2.0), pytest.approx(2 * one.then))
    (same,) = against.compare(then, then).figures
    assert same.verdict is Verdict.NOISE
    quicker = Record.model_validate_json(json.dumps(figure(times=half) | {"fixed_work": half}))
    assert against.compare(quicker, then).figures[0].verdict is Verdict.NOISE
    busy = Record.model_validate_json(json.dumps(figure(times={**TIMES, "seconds": [0.2] * 9})))
    assert against.compare(busy, then).notes == (
        "other programs were at work in one of the calls; repeat it before you believe a small difference",
    )


def test_the_commit_of_a_clone_is_known_and_that_of_an_installed_package_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clone = Path(record.harness.__file__).parent.parent
    if (clone / ".git").exists():
        assert record.commit()
    monkeypatch.setattr(record.harness, "__file__", str(tmp_path / "harness" / "__init__.py"))
    assert record.commit() is None
    (tmp_path / ".git").mkdir()  # no repository
    assert record.commit() is None


def test_fixed_work_is_on_a_processor() -> None:
    block = measuring.fixed_work()
    assert 0 < block.processor_seconds < 10
    assert Times(seconds=(block.seconds,), processor_seconds=(block.processor_seconds,)).seconds == (block.seconds,)


def test_the_order_in_which_keys_are_declared_makes_no_other_experiment() -> None:
    experiment = Experiment.load("iris")
    said = experiment.settings.model_dump(mode="json", exclude_defaults=True)
    turned = {name: dict(reversed(part.items())) if isinstance(part, dict) else part for name, part in said.items()}
    settings = SimpleNamespace(model_dump=lambda **_: dict(reversed(turned.items())))
    other = Subject("iris", cast("Experiment", SimpleNamespace(settings=settings)), ())
    assert json.dumps(turned) != json.dumps(said)
    assert other.sha256 == Subject("iris", experiment, ()).sha256
    assert other.sha256 != Subject("iris", Experiment.load("iris", ["training.batch=35"]), ()).sha256
