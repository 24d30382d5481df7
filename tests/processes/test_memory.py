"""Memory: what would not fit is refused in a sentence before anything is made, and what runs out is one too."""

import resource
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from harness.cli.main import main
from harness.errors import ExperimentError
from harness.experiment.experiment import Experiment
from harness.processes import memory
from harness.processes.memory import Part, available, gibibytes, refuse

GIB = 2**30
WIDE = ["network.bias=[]", "rule.beta=auto", "update.rates=[1e-3]", "chip.kind=nodal"]


@pytest.mark.parametrize(
    ("experiment", "changes", "what", "cure"),
    [
        ("digits", ["network.hidden=[99999]"], "149 GiB of them for the equations of 100,019", "network.hidden"),
        ("digits", [*WIDE, f"network.hidden={[30] * 4000}"], "the equations of 120,020 unknowns", "network.hidden"),
        ("digits", [*WIDE, "network.hidden=[90000, 90000]"], "the equations of 180,020 unknowns", "network.hidden"),
        ("mondeq-digits", ["network.hidden=[99999]"], "for 10,0", "network.hidden"),
        ("xor-graph", ["network.shape=complete", "network.nodes=100000"], "4,999,950,000 edges", "network.nodes"),
        (
            "digits",
            [*WIDE, "network.hidden=[9000]", "variation.line_word=1 Ohm"],
            "1,332,000 cells on resistive lines",
            "network.hidden",
        ),
    ],
)
def test_a_network_beyond_the_machine_is_refused_and_leaves_nothing(
    experiment: str, changes: list[str], what: str, cure: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(memory, "available", lambda: (8.0 * GIB, "of the machine"))
    result = CliRunner().invoke(main, ["train", experiment, *(part for c in changes for part in ("--set", c))])
    assert result.exit_code == 2, result.output
    assert result.stderr.count("\n") == 1
    assert f"harness: {experiment}: about " in result.stderr
    assert what in result.stderr
    assert ", and 8 GiB are free (of the machine); take " in result.stderr
    assert cure in result.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["sweep", "xor", "--over", "training.epochs=1", "--seeds", "1000000000"], "for 1,000,000,000 points"),
        (["sweep", "xor", "--over", "training.epochs=1,2", "--chips", "1000000000"], "for 2,000,000,000 points"),
        (["sweep", "xor", "--random", "rule.beta=1e-7..1e-6", "--draws", "1000000000000"], "1,000,000,000,000 points"),
        (["sweep", "xor", "--over", "training.epochs=1", "--workers", "1000000"], "for 1,000,000 processes"),
        (["train", "xor", "--workers", "1000000"], "for 1,000,000 processes with an ngspice each"),
    ],
)
def test_points_and_workers_without_number_are_refused(
    words: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 2, result.output
    assert said in result.stderr
    assert not list(tmp_path.iterdir())


def test_the_estimate_is_below_what_is_taken_and_not_far_below(tmp_path: Path) -> None:
    """So nothing is refused that would fit."""
    subject = Experiment.load("digits", [*WIDE, "network.hidden=[1200]", "training.epochs=1"])
    tracemalloc.start()
    try:
        subject.train(subject.create_run(tmp_path / "run"), stop=lambda: True, pictures=False)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert 0.3 * peak < sum(part.size for part in subject.memory) < peak


def test_the_largest_part_is_named_with_its_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = [Part("cells", 3 * GIB, "take fewer"), Part("samples", 2 * GIB, "take a smaller batch")]
    monkeypatch.setattr(memory, "available", lambda: (5.0 * GIB, "of the machine"))
    refuse("mine", parts)
    monkeypatch.setattr(memory, "available", lambda: (4.9 * GIB, "of the control group"))
    with pytest.raises(ExperimentError) as refused:
        refuse("mine", parts)
    assert str(refused.value) == (
        "mine: about 5 GiB of memory would be needed, 3 GiB of them for cells, and 4.9 GiB are free "
        "(of the control group); take fewer"
    )


@pytest.mark.parametrize("names", [memory._NEW, memory._OLD])
def test_limits_of_control_groups_count_without_the_files_in_their_cache(
    names: tuple[str, str, str], tmp_path: Path
) -> None:
    most, now, cache = names
    (tmp_path / most).write_text(f"{4 * GIB}\n")
    (tmp_path / now).write_text(f"{3 * GIB}\n")
    assert list(memory._of_control_group(tmp_path, *names)) == [(1.0 * GIB, "of the control group")]
    (tmp_path / "memory.stat").write_text(f"anon 5\n{cache} {2 * GIB}\n")
    assert list(memory._of_control_group(tmp_path, *names)) == [(3.0 * GIB, "of the control group")]
    (tmp_path / most).write_text("max\n")
    assert not list(memory._of_control_group(tmp_path, *names))
    assert not list(memory._of_control_group(tmp_path / "none", *names))


def test_what_is_free_is_something_and_shrinks_with_the_process() -> None:
    free, whose = available()
    assert 0 < free < 2**50
    assert whose.startswith("of the ")
    assert gibibytes(free).endswith(" GiB")


LIMITED = """
import resource, sys
from harness.cli.main import main
import harness.experiment.experiment, harness.pictures.runs
size = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (size + int(sys.argv[1]), resource.RLIM_INFINITY))
main(sys.argv[2:])
"""


def limited(room: int, *words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """The command line in a process that may take so many B more than it has."""
    command = [sys.executable, "-c", LIMITED, str(room), *words]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


def test_a_limit_of_the_process_is_heeded(tmp_path: Path) -> None:
    assert resource.getrlimit(resource.RLIMIT_AS)[0] == resource.RLIM_INFINITY
    wide = [part for change in (*WIDE, "network.hidden=[5000]") for part in ("--set", change)]
    result = limited(GIB // 4, "train", "digits", *wide, cwd=tmp_path)
    assert result.returncode == 2, result.stderr
    assert "are free (of the process, by ulimit -v); take fewer hidden nodes (network.hidden)" in result.stderr
    assert not list(tmp_path.iterdir())


def test_memory_that_runs_out_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where an estimate is below what is taken."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("harness.experiment.experiment.refuse", lambda *_: None)
    monkeypatch.setattr("harness.experiment.network.crossbars.layered_network", lambda *_, **__: np.zeros(2**50))
    result = CliRunner().invoke(main, ["train", "iris"])
    assert result.exit_code == 1
    assert "harness: out of memory (Unable to allocate 8.00 PiB for an array" in result.stderr
    assert "make the network, the batch (training.batch) or the number of workers smaller" in result.stderr
    assert not list(tmp_path.iterdir())
