"""Habits of shells: completion, narrow and plain terminals, pipes, quiet and verbose commands."""

import fcntl
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from harness.cli import terminal
from harness.cli.machine import words
from harness.cli.main import main
from harness.cli.output.narrow import records
from harness.cli.terminal import table

TRAIN = ["train", "xor", "--chip", "nodal", "--set", "training.epochs=1"]
ESCAPE = "\x1b"


def leaves(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from leaves(command, (*path, name))
        else:
            yield (*path, name), command


def run(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "harness", *arguments],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def on_terminal(folder: Path, *arguments: str, columns: int = 80, **environment: str) -> str:
    """Run a command on a terminal of its own; return all that it prints there."""
    ours, its = os.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    told = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "NO_COLOR")} | environment
    with subprocess.Popen(
        [sys.executable, "-m", "harness", *arguments], cwd=folder, env=told, stdin=its, stdout=its, stderr=its
    ):
        os.close(its)
        said = b""
        while True:
            try:
                part = os.read(ours, 65536)
            except OSError:  # Linux's end of a terminal whose programs have ended
                break
            if not part:
                break
            said += part
    os.close(ours)
    return said.decode().replace("\r", "")


# Commands that are loaded when they are typed


def test_every_command_is_where_the_table_says() -> None:
    for name, command in main.commands.items():
        assert command.name == name
        assert command.short_help
        assert command.short_help.endswith(".")
        assert len(command.short_help) < 60


def test_help_and_version_import_no_library_of_numbers() -> None:
    code = """
import sys
from harness.cli.main import main
for word in ("--help", "--version"):
    try:
        main([word], prog_name="harness")
    except SystemExit as ended:
        assert ended.code == 0
heavy = {"numpy", "scipy", "pandas", "pydantic", "matplotlib", "sklearn"} & set(sys.modules)
assert not heavy, heavy
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr


# Completion


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment in whose cache the commands are described, as after `harness completion`."""
    home = tmp_path_factory.mktemp("home")
    environment = {"XDG_CACHE_HOME": str(home / "cache"), "HOME": str(home)}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        for shell in ("bash", "zsh", "fish"):
            printed = CliRunner().invoke(main, ["completion", shell])
            assert printed.exit_code == 0
            (home / shell).write_text(printed.stdout)
    assert (home / "cache" / "harness" / "commands.json").is_file()
    return environment


@pytest.fixture
def workplace(tmp_path: Path) -> Path:
    """A folder with a run, an experiment, and names that a shell would obey."""
    for name in ("runs/iris-seed0", "runs/$(touch trap)", "runs/a b"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "manifest.json").write_text("{}")
    (tmp_path / "mine.toml").write_text("")
    (tmp_path / "rows.csv").write_text("")
    return tmp_path


ASKED = [
    ("harness tra", ["train", "transient"]),
    ("harness bench c", ["calibrate", "characterize", "compare"]),
    ("harness train iris", ["iris", "iris-graph"]),
    ("harness train mi", ["mine.toml"]),
    ("harness train --resume runs/", ["runs/iris-seed0"]),
    ("harness evaluate r", ["runs/"]),
    ("harness train --chip n", ["ngspice", "nodal"]),
    ("harness train --set rule.b", ["rule.beta="]),
    ("harness train --set chip.chunk", ["chip.chunk="]),
    ("harness show act", ["activations"]),
    ("harness train --res", ["--resume"]),
    ("harness devices l", ["list"]),
    ("harness completion z", ["zsh"]),
]


@pytest.mark.parametrize(("line", "expected"), ASKED)
def test_a_shell_gets_what_fits(
    line: str,
    expected: list[str],
    workplace: Path,
    described: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """By click's protocol: the words so far, and the number of the one at the cursor."""
    monkeypatch.chdir(workplace)
    asked = {"COMP_WORDS": line, "COMP_CWORD": str(len(line.split()) - 1), words.VARIABLE: "bash_complete"}
    for name, value in {**described, **asked}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit):
        words.complete()
    found = [part.partition(",")[2] for part in capsys.readouterr().out.split()]
    assert found == expected


def test_completing_imports_no_library_of_numbers(described: dict[str, str], tmp_path: Path) -> None:
    code = """
import sys
from harness.__main__ import main
try:
    main()
except SystemExit:
    pass
assert not {"numpy", "pandas", "pydantic", "rich", "harness.cli.main"} & set(sys.modules)
"""
    asked = {"COMP_WORDS": "harness train ir", "COMP_CWORD": "2", words.VARIABLE: "bash_complete"}
    ended = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **described, **asked},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.stdout.split(), ended.stderr) == (["plain,iris", "plain,iris-graph"], "")


@pytest.mark.parametrize("damage", [b"", b"no json", b"[]", b'{"stamp": 3}', b"\xff" * 2_000_000])
def test_a_damaged_description_is_made_anew(damage: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(words, "_cache", lambda: tmp_path / "commands.json")
    (tmp_path / "commands.json").write_bytes(damage)
    assert set(words.commands().commands) == set(main.commands)  # type: ignore[attr-defined]
    kept = json.loads((tmp_path / "commands.json").read_bytes())
    assert kept["commands"] == words.described(main)
    monkeypatch.setattr(words, "described", lambda _: pytest.fail("the description is made again"))
    assert set(words.commands().commands) == set(main.commands)  # type: ignore[attr-defined]


def test_without_a_folder_to_keep_it_the_description_is_made_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(words, "_cache", lambda: tmp_path / "file" / "commands.json")
    assert "train" in words.commands().commands  # type: ignore[attr-defined]


def test_bash_completes(described: dict[str, str], workplace: Path) -> None:
    if not (bash := shutil.which("bash")):
        pytest.skip("no bash")
    script = f"""
compopt() {{ echo "compopt $1 $2"; }}
source {described["HOME"]}/bash
complete -p harness
COMP_WORDS=(harness train --set rule.b) COMP_CWORD=3
_harness_completion {Path(sys.executable).with_name("harness")}
echo "${{COMPREPLY[@]}}"
"""
    ended = subprocess.run(
        [bash, "--norc", "-c", script],
        env={**os.environ, **described},
        cwd=workplace,
        capture_output=True,
        text=True,
        check=False,
    )
    said = ended.stdout.splitlines()
    assert said == ["complete -o nosort -F _harness_completion harness", "compopt -o nospace", "rule.beta="], (
        ended.stderr
    )


def test_fish_completes(described: dict[str, str], workplace: Path) -> None:
    if not (fish := shutil.which("fish")):
        pytest.skip("no fish")
    path = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])
    script = f"source {described['HOME']}/fish; complete -C 'harness train iri'"
    ended = subprocess.run(
        [fish, "--no-config", "-c", script],
        env={**os.environ, **described, "PATH": path},
        cwd=workplace,
        capture_output=True,
        text=True,
        check=False,
    )
    assert [line.split("\t")[0] for line in ended.stdout.splitlines()] == ["iris", "iris-graph"], ended.stderr


def test_zsh_reads_its_function(described: dict[str, str]) -> None:
    if not (zsh := shutil.which("zsh")):
        pytest.skip("no zsh")
    script = f"autoload -U compinit; compinit -u; source {described['HOME']}/zsh; print $_comps[harness]"
    ended = subprocess.run(
        [zsh, "-f", "-c", script], env={**os.environ, **described}, capture_output=True, text=True, check=False
    )
    assert ended.stdout == "_harness_completion\n", ended.stderr


# Terminals


def test_help_fits_40_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    for path, _ in [((), main), *leaves(main), (("bench",), main)]:
        shown = CliRunner().invoke(main, [*path, "--help"], prog_name="harness").stdout
        beyond = [line for line in shown.splitlines() if len(line) > 40]
        assert not [line for line in beyond if len(line.split()) > 1 and not _kept(line)], path


def _kept(line: str) -> bool:
    """Return True for a line that cannot be cut: an option with its value, or a command to type."""
    return line.strip().startswith(("-", "harness ", "["))


def test_tables_fit_40_columns(tmp_path: Path) -> None:
    said = on_terminal(tmp_path, "list", columns=40, TERM="xterm", NO_COLOR="1")
    assert "experiment: xor" in said
    assert all(len(line) <= 40 for line in re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", said).splitlines())


def test_a_table_becomes_lines_without_losing_or_obeying_anything() -> None:
    shown = table(("a", "b", ""), [("1", "", "x\x1b[31m"), ("", "", ""), ("2", "long", "y")])
    assert [str(line) for line in records(shown)] == ["a: 1", "  x\\x1b[31m", "a: 2", "  b: long", "  y"]


@pytest.mark.parametrize(
    ("environment", "controls"), [({"NO_COLOR": "1", "TERM": "xterm"}, "3"), ({"TERM": "dumb"}, "")]
)
def test_terminals_without_colours_get_none(environment: dict[str, str], controls: str, tmp_path: Path) -> None:
    said = on_terminal(tmp_path, *TRAIN, "--run", "run", **environment)
    assert "test accuracy" in said
    assert f"{ESCAPE}[{controls}" not in said
    assert f"{ESCAPE}[9" not in said


# Pipes


def test_pipes_get_no_control_sequences_and_lines_about_progress(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terminal, "_BETWEEN", 0.0)
    ended = CliRunner().invoke(main, ["train", "iris", *TRAIN[2:], "--run", str(tmp_path / "run")])
    assert ESCAPE not in ended.output
    assert re.search(r"^epoch 1: batch 1 of \d+, loss [\d.]+ V²$", ended.stderr, re.MULTILINE)
    monkeypatch.setattr(terminal, "_BETWEEN", 3600.0)
    ended = CliRunner().invoke(main, ["train", "iris", *TRAIN[2:], "--run", str(tmp_path / "other")])
    assert "batch 1 of" not in ended.stderr


@pytest.mark.parametrize("words_", ["list", "--help", "list --json"])
def test_a_reader_that_leaves_is_no_error(words_: str, tmp_path: Path) -> None:
    """As in ``harness list | head -1``."""
    read, write = os.pipe()
    os.close(read)
    ended = subprocess.run(
        [sys.executable, "-m", "harness", *words_.split()], stdout=write, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(write)
    assert ended.stderr == ""


# Quiet and verbose


def test_every_command_that_reports_takes_quiet_and_verbose() -> None:
    lacking = [
        path for path, one in leaves(main) if not {"as_json", "quiet", "verbose"} <= {p.name for p in one.params}
    ]
    assert lacking == [("completion",)]


def test_quiet_leaves_the_result_and_verbose_adds_what_was_decided(tmp_path: Path) -> None:
    usual, quiet, verbose = (
        CliRunner().invoke(main, [*TRAIN, "--run", str(tmp_path / f"run{loudness}"), *([loudness] if loudness else [])])
        for loudness in ("", "-q", "--verbose")
    )
    assert "training xor in" in usual.stderr
    assert quiet.stderr == ""
    assert quiet.stdout.startswith("test accuracy")
    for told in (
        "experiment xor, seed 0; rows of xor: 4 train",
        "learning rule equilibrium-propagation, update sgd",
        "chip nodal, in this process",
        f"wrote {tmp_path / 'run--verbose' / 'result.json'}",
    ):
        assert f"  {told}" in verbose.stderr
        assert told not in usual.stderr
    assert verbose.stdout.splitlines()[0] == usual.stdout.splitlines()[0]
    again = CliRunner().invoke(main, ["evaluate", str(tmp_path / "run")])
    assert "read" not in again.stderr, "a later command is as loud as it is told itself"


def test_quiet_commands_still_warn_and_fail(tmp_path: Path) -> None:
    ended = CliRunner().invoke(main, ["train", "nothing", "-q"])
    assert "there is no experiment 'nothing'" in ended.stderr
    both = CliRunner().invoke(main, ["list", "-q", "-v"])
    assert both.exit_code == 2
    assert "give --quiet or --verbose, not both" in both.stderr
