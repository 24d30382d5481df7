"""What the command line prints: nothing from outside is obeyed, every output is written or named."""

import ast
import io
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from rich.table import Table

from harness.cli import terminal
from harness.cli.main import main
from harness.cli.terminal import ERR, OUT, WIDE, building, reason_of, working
from harness.cli.train import _described
from harness.errors import ExperimentError
from harness.experiment.chip import HERE
from harness.experiment.experiment import Experiment
from harness.wording import command, counted, did_you_mean, nearest, plain, printable

HARNESS = Path(__file__).parents[2] / "harness"
HOSTILE = "a [/] [red]b[/red] :smile: [link=x]c"


def harness(folder: Path, *arguments: str | bytes, **environment: str) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(
        [sys.executable, "-m", "harness", *arguments],
        check=False,
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        timeout=120,
    )


# Markup


@pytest.mark.parametrize("console", [ERR, OUT, WIDE])
def test_markup_emoji_and_control_characters_are_printed_as_they_are(console: object) -> None:
    table = Table(HOSTILE, title=HOSTILE)
    table.add_row(HOSTILE)
    with console.capture() as caught:  # type: ignore[attr-defined]
        console.print(HOSTILE, soft_wrap=True)  # type: ignore[attr-defined]
        console.print(table)  # type: ignore[attr-defined]
        console.print("a\x1b[31mb\x07\u202ec")  # type: ignore[attr-defined]
    said = caught.get()
    assert said.count(HOSTILE) >= 3
    assert r"a\x1b[31mb\x07\u202ec" in said
    assert not {"\x1b", "\x07", "\u202e"} & set(said)


def test_what_is_being_done_is_no_markup_either(monkeypatch: pytest.MonkeyPatch) -> None:
    """A closing tag without an opening one is an error of rich's."""
    shown = io.StringIO()
    monkeypatch.setattr("harness.cli.terminal.ERR", type(ERR)(file=shown, force_terminal=True, width=200))
    with working(f"reading {HOSTILE}"):
        pass  # shown at its end at the latest
    with working("") as tell:
        tell(f"checking {HOSTILE}\x1b[31m")
    said = shown.getvalue()
    assert f"reading {HOSTILE}" in said
    assert rf"checking {HOSTILE}\x1b[31m" in said


def test_only_the_terminal_makes_consoles_and_signs_of_work() -> None:
    """Others could interpret markup."""
    for path in HARNESS.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
            name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
            told = {word.arg: ast.unparse(word.value) for word in call.keywords}
            assert name not in ("from_markup", "render_markup", "print_json_data"), path
            if path.name != "terminal.py":
                assert name != "status" or ast.unparse(call.func) != "ERR.status", path
                assert name != "Console" or told.get("markup") == "False", path


@pytest.mark.parametrize("words", [["verify", HOSTILE], ["check", HOSTILE], ["evaluate", HOSTILE], ["train", HOSTILE]])
def test_names_in_messages_stay_what_they_are(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, words)
    assert result.exit_code in (1, 2)
    assert HOSTILE in result.stderr


# Encodings and bytes


@pytest.fixture(scope="module")
def locale_of_latin_1(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A locale in which files and outputs are Latin-1 unless a program says otherwise."""
    folder = tmp_path_factory.mktemp("locales")
    made = subprocess.run(
        ["localedef", "-i", "en_US", "-f", "ISO-8859-1", str(folder / "en_US.ISO-8859-1")],
        check=False,
        capture_output=True,
    )
    if made.returncode:
        pytest.skip("no localedef, or no en_US to make a locale from")
    return {"LOCPATH": str(folder), "LC_ALL": "en_US.ISO-8859-1", "PYTHONUTF8": "0"}


MINE = """
name = "mine"
description = "µ and β"
data = {{ set = "xor", held_out = 0, targets = ["0 V", "1 V"] }}
rule = {{ beta = "0.05 {micro}S", variant = "centered" }}
update = {{ kind = "sgd", rates = [1e-3] }}
training = {{ epochs = 1, batch = 4 }}
chip = {{ kind = "nodal" }}
[network]
kind = "layered"
hidden = [4]
g_unit = "10 {micro}S"
g_max = "100 {micro}S"
input_gain = 4
diode = {{ saturation_current = "10 pA" }}
"""


@pytest.mark.parametrize(("mark", "micro"), [("", "µ"), ("\ufeff", "μ")])
def test_experiments_are_utf_8_whatever_the_locale(
    mark: str, micro: str, tmp_path: Path, locale_of_latin_1: dict[str, str]
) -> None:
    (tmp_path / "mine.toml").write_text(mark + MINE.format(micro=micro), encoding="utf-8")
    ended = harness(tmp_path, "train", "mine.toml", "--run", "run", **locale_of_latin_1)
    assert ended.returncode == 0, ended.stderr
    assert "loss" in ended.stderr.decode("latin-1")
    assert "V²" in ended.stderr.decode("latin-1"), "the terminal gets its own encoding"
    assert 'description = "µ and β"' in (tmp_path / "run" / "experiment.toml").read_text(encoding="utf-8")
    again = harness(tmp_path, "evaluate", "run", "--json", **locale_of_latin_1)
    assert json.loads(again.stdout)["run"] == "run"


def test_no_file_is_read_or_written_in_the_locale_s_encoding() -> None:
    for path in HARNESS.rglob("*.py"):
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(call, ast.Call) and getattr(call.func, "attr", "") in ("read_text", "write_text"):
                assert "encoding" in {word.arg for word in call.keywords}, f"{path}: {ast.unparse(call)}"


def test_ascii_outputs_get_plain_words(tmp_path: Path) -> None:
    run = harness(tmp_path, "train", "iris", "--chip", "nodal", "--set", "training.epochs=1", "--run", "r",
                  PYTHONIOENCODING="ascii")  # fmt: skip
    assert run.returncode == 0
    assert b"10x10 + 12x6 cells, 105 training samples, 1 epoch, nodal" in run.stderr
    assert b"V^2" in run.stderr
    printer = CliRunner(charset="ascii")
    for words in (
        ["list"],
        ["devices", "list"],
        ["--help"],
        ["evaluate", str(tmp_path / "r")],
        ["transient", "--help"],
    ):
        assert printer.invoke(main, words, catch_exceptions=False).exit_code == 0
    listed = printer.invoke(main, ["devices", "list", "--json"], catch_exceptions=False)
    assert json.loads(listed.stdout_bytes.decode("ascii"))["devices"]


def test_paths_that_are_no_utf_8_are_named_by_their_bytes(tmp_path: Path) -> None:
    for words in ([b"verify", b"x\xffy"], [b"train", b"x\xffy"]):
        ended = harness(tmp_path, *words)
        assert ended.returncode in (1, 2)
        assert re.search(rb"x\\(xff|udcff)y", ended.stderr), "as its bytes, or as Python writes them"
        assert b"Traceback" not in ended.stderr
    ended = harness(
        tmp_path, b"train", b"iris", b"--chip", b"nodal", b"--set", b"training.epochs=1", b"--run", b"r\xff", b"--json"
    )
    assert ended.returncode == 0, ended.stderr
    assert os.fsencode(json.loads(ended.stdout)["run"]) == b"r\xff"


def test_a_path_that_no_run_can_record_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"f\xff")
    folder.mkdir()
    text = MINE.format(micro="u").replace('set = "xor"', 'set = "csv", file = "rows.csv"')
    (folder / "mine.toml").write_text(text, encoding="utf-8")
    (folder / "rows.csv").write_text("a,label\n1,x\n2,y\n", encoding="utf-8")
    with pytest.raises(ExperimentError, match=r"line 4: data.file = .*: no run can record this path"):
        Experiment.from_file(folder / "mine.toml")


# Outputs that cannot be written


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
@pytest.mark.parametrize("words", ["list", "list --json", "--version", "train --help", "devices list -h"])
def test_a_full_disk_behind_standard_output_is_a_sentence(words: str) -> None:
    unbuffered = "1" if "help" in words else ""  # then nothing waits in the stream for a second try
    with open("/dev/full", "w") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "harness", *words.split()],
            check=False,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONUNBUFFERED": unbuffered},
        )
    assert (ended.returncode, ended.stderr) == (1, "harness: standard output: No space left on device\n")


def test_errors_of_the_system_name_their_files() -> None:
    assert (
        reason_of(OSError(28, "No space left on device", "run/result.json"))
        == "run/result.json: No space left on device"
    )
    assert reason_of(OSError(18, "Invalid cross-device link", "a", None, "b")) == "a and b: Invalid cross-device link"
    assert reason_of(OSError(28, "No space left on device")) == "No space left on device"


# Networks that take a while


def test_what_takes_a_while_to_build_is_told_and_what_does_not_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    said = list[str]()
    monkeypatch.setattr(terminal, "note", said.append)  # another thread says it: what is captured meanwhile can be lost
    monkeypatch.setattr(terminal, "_SOON", 0.05)
    with building("deep"):
        began = time.monotonic()
        while not said and time.monotonic() < began + 10:
            time.sleep(0.01)
    assert said == ["loading the data and building the network of deep …"]
    monkeypatch.setattr(terminal, "_SOON", 0.5)
    with building("shallow"):
        pass
    time.sleep(0.6)
    assert len(said) == 1


class _AtOnce:
    """A timer that has run out already."""

    def __init__(self, _: float, tell: Callable[[], None]) -> None:
        self.start, self.cancel = tell, lambda: None


def test_commands_tell_what_they_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminal, "Timer", _AtOnce)
    subject = Experiment.load("xor", ["chip.kind=nodal", "training.epochs=1"])
    run = subject.create_run(tmp_path / "run")
    subject.train(run, pictures=False)
    here, taken = str(run.path), ["--run", str(run.path)]
    for name, words in [
        ("xor", ["train", "xor", "--set", "chip.kind=nodal", *taken]),
        (here, ["train", "--from", here, *taken]),
        (here, ["train", "--resume", here]),
        (here, ["evaluate", here]),
        ("iris", ["conductances", "export", "iris", "--to", str(tmp_path / "iris.csv")]),
    ]:
        ended = CliRunner().invoke(main, words)
        assert ended.exit_code == (1 if "--run" in words else 0), ended.output
        assert f"building the network of {name} …\n" in ended.stderr


def test_layers_of_one_shape_are_counted() -> None:
    hidden = ["chip.kind=nodal", "network.bias=[]", "update.rates=[0.01]"]
    few, many = (Experiment.load("xor", [*hidden, f"network.hidden={[3] * count}"]) for count in (3, 30))
    assert _described(few, HERE).startswith("6×3 + 5×3 + 5×3 + 5×4 cells, ")
    assert _described(many, HERE).startswith("6×3 + 29 times 5×3 + 5×4 cells, ")


# Wording


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 epochs"), (1, "1 epoch"), (2, "2 epochs"), (12345, "12,345 epochs")]
)
def test_counts_read_well(count: int, text: str) -> None:
    assert counted(count, "epoch") == text


@pytest.mark.parametrize(("name", "meant"), [("irs", "iris"), ("DIGITS", "digits"), ("mnst", "mnist"), ("zzz", None)])
def test_the_nearest_name_is_found(name: str, meant: str | None) -> None:
    known = ["digits", "iris", "mnist", "mnist-5v"]
    assert nearest(name, known) == meant
    assert did_you_mean(name, known) == (f"; did you mean {meant!r}?" if meant else "")
    assert did_you_mean("zzz", known, or_list=True) == "; there are digits, iris, mnist, mnist-5v"


def test_commands_to_type_are_quoted() -> None:
    assert command("train", "--resume", Path("my run")) == "harness train --resume 'my run'"
    assert command("check", "it's") == """harness check 'it'"'"'s'"""


@given(st.text(st.characters(exclude_categories=[])))
def test_what_is_printable_obeys_nothing_and_loses_nothing(text: str) -> None:
    shown = printable(text)
    assert not any(character < " " and character not in "\n\t" for character in shown)
    assert "".join(plain(c) for c in shown if ord(c) > 127).isascii()
    if text.isascii() and text.isprintable():
        assert shown == text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train", "irs"], "there is no experiment 'irs'; did you mean 'iris'?"),
        (["train", "iris.toml"], "there is no experiment 'iris.toml'; did you mean 'iris'?"),
        (["train", "iris", "--set", "beta=1uS"], "unknown key 'beta'; did you mean 'rule.beta'?"),
        (["train", "iris", "--set", "data.set=iriss"], "did you mean 'iris'?"),
        (["train", "iris", "--set", "rule.kind=coupled"], "did you mean 'coupled-learning'?"),
        (["train", "iris", "--set", "network.kind=layred"], "did you mean 'layered'?"),
        (["train", "iris", "--set", "rule.variant=centred"], "did you mean 'centered'?"),
        (["show", "device", "yakopcik", "--to", "a.png"], "there is no device 'yakopcik'; did you mean 'yakopcic'?"),
        (["show", "activation", "--to", "a.png"], "did you mean 'activations'?"),
        (["export", "xor", "--to", "n", "--cells", "sky13"], "did you mean 'sky130'?"),
        (["train", "iris", "--chip", "nodl"], "did you mean 'nodal'?"),
        (["export", "xor", "--to", "n", "--dialect", "ngspce"], "did you mean 'ngspice'?"),
        (["trian"], "Did you mean 'train'?"),
    ],
)
def test_a_wrong_name_gets_the_nearest_right_one(words: list[str], message: str) -> None:
    result = CliRunner().invoke(main, words)
    assert result.exit_code in (1, 2)
    assert message in result.stderr


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("2-0", "'2-0' runs backwards; write 0-2"),
        ("0-9", "sample 4: there is no such row; the held-out rows are 0…3"),
        ("0-99999999", "names 100,000,000 rows; at most 100,000"),
        ("0-1,1", "names a row twice"),
        ("0,,1", "'' is no list of rows; write their numbers, such as 0,1,2 or 0-9"),
        ("-1", "'-1' is no list of rows"),
    ],
)
@pytest.mark.parametrize("command_", ["export", "transient"])
def test_rows_that_make_no_sense_are_refused(command_: str, rows: str, message: str, tmp_path: Path) -> None:
    to = ["--to", str(tmp_path / "net")] if command_ == "export" else []
    result = CliRunner().invoke(main, [command_, "xor", "--samples", rows, *to])
    assert result.exit_code == 2
    assert message in result.stderr


def test_rows_are_named_by_ranges_too(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["export", "xor", "--samples", "3,0-1", "--to", str(tmp_path / "net"), "--json"])
    assert json.loads(result.stdout)["samples"] == [3, 0, 1]


def test_an_empty_columns_leaves_tables_to_pipes_as_they_are(tmp_path: Path) -> None:
    assert harness(tmp_path, "list", COLUMNS="").stdout == harness(tmp_path, "list").stdout != b""
    assert harness(tmp_path, "list", COLUMNS="30").stdout != harness(tmp_path, "list").stdout
