"""``harness layout`` as a user types it."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from harness.cli.main import main
from tests.page_pictures import is_picture

db = pytest.importorskip("klayout.db", reason="klayout has no wheel for this Python or machine")


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["layout", *map(str, arguments)])


def said(*arguments: object, code: int = 0) -> dict[str, object]:
    result = run(*arguments, "--json")
    assert result.exit_code == code, result.output
    found: dict[str, object] = json.loads(result.stdout)
    return found


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("layout") / "xor"
    options = ["--chip", "nodal", "--set", "training.epochs=2", "--run", str(folder), "-q"]
    assert CliRunner().invoke(main, ["train", "xor", *options]).exit_code == 0
    return folder


def short(file: Path) -> None:
    """Connect two bit lines of the first tile of w1."""
    layout = db.Layout()
    layout.read(str(file))
    layout.cell("xor_w1_0_0").shapes(layout.layer(12, 0)).insert(db.Box(300, -300, 1700, -200))
    layout.write(str(file))


def test_a_run_becomes_a_layout_with_lines_and_accuracies(trained: Path, tmp_path: Path) -> None:
    file = tmp_path / "xor.gds"
    found = said(trained, "--to", file, "--tile", "4x4", "--picture", tmp_path / "xor.svg")
    assert found["clean"]
    assert found["file"] == str(file)
    assert (found["crossbars"], found["tiles"], found["bytes"]) == (2, 9, file.stat().st_size)
    assert (found["line_word_ohm"], found["line_bit_ohm"]) == pytest.approx((0.25, 0.25))
    assert is_picture(tmp_path / "xor.svg")
    assert found["accuracy"] == lines_evaluated(trained, found)


def lines_evaluated(trained: Path, found: dict[str, object]) -> dict[str, float]:
    """What ``harness evaluate`` says of the same lines."""
    shown: dict[str, float] = {}
    for name, word, bit in (("without", 0, 0), ("with", found["line_word_ohm"], found["line_bit_ohm"])):
        keys = ["chip.kind=nodal", f"variation.line_word={word!r}", f"variation.line_bit={bit!r}"]
        options = [option for key in keys for option in ("--set", key)]
        result = json.loads(CliRunner().invoke(main, ["evaluate", str(trained), *options, "--json"]).stdout)
        shown |= {f"{name}_lines": result["test_accuracy"], f"loss_{name}_lines": result["test_loss"]}
        shown["rows"] = result["test_samples"]
    return shown


def test_equal_commands_write_equal_bytes(tmp_path: Path) -> None:
    for name in ("a.gds", "b.gds"):
        said("xor", "--to", tmp_path / name)
    assert (tmp_path / "a.gds").read_bytes() == (tmp_path / "b.gds").read_bytes()


def test_a_changed_layout_is_refused_by_its_differences(tmp_path: Path) -> None:
    file = tmp_path / "xor.gds"
    assert run("xor", "--to", file, "--tile", "4x4").exit_code == 0
    assert run("xor", "--check", file, "--tile", "4x4").exit_code == 0
    short(file)
    result = run("xor", "--check", file, "--tile", "4x4")
    assert result.exit_code == 1
    assert "cell xor_w1_0_0: there is no line with the label b0 alone" in result.stdout
    assert "word" not in said("xor", "--check", file, "--tile", "4x4", code=1)["lines"]


@pytest.mark.parametrize("dialect", ["cdl", "ngspice"])
def test_an_exported_package_is_laid_out_in_its_own_tiles(dialect: str, tmp_path: Path) -> None:
    package = tmp_path / "net"
    exported = ["export", "xor", "--dialect", dialect, "--tile", "4x4", "--to", str(package)]
    assert CliRunner().invoke(main, exported).exit_code == 0
    assert said(package, "--to", tmp_path / "net.gds")["tiles"] == 9
    assert said("xor", "--check", tmp_path / "net.gds", "--tile", "4x4")["clean"]
    refused = run(package, "--to", tmp_path / "net.gds", "--set", "training.epochs=1")
    assert refused.exit_code == 2
    assert "is a package, which stays as it was exported" in refused.stderr


def test_nothing_is_written_where_something_is_wrong(tmp_path: Path) -> None:
    for arguments, told in (
        ([], "give either --to FILE.gds"),
        (["--to", tmp_path / "a.gds", "--check", tmp_path / "a.gds"], "give either --to FILE.gds"),
        (["--to", tmp_path / "a.txt"], "write a name that ends in .gds"),
        (["--to", tmp_path / "none" / "a.gds"], "there is no folder"),
        (["--to", tmp_path / "a.gds", "--technology", "genric"], "no technology 'genric'; did you mean 'generic'"),
        (["--to", tmp_path / "a.gds", "--tile", "0x4"], "is no tile"),
    ):
        result = run("xor", *arguments)
        assert result.exit_code == 2
        assert told in " ".join(result.stderr.split())
    result = run("xor-graph", "--to", tmp_path / "a.gds")
    assert result.exit_code == 1
    assert "there is no crossbar to lay out" in result.stderr
    result = run("xor", "--check", tmp_path / "a.gds")
    assert result.exit_code == 1
    assert "there is no such file" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_layout_of_too_many_shapes_is_not_drawn_and_the_file_is_there_all_the_same(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("harness.pictures.layouts.MOST", 39)
    result = run("xor", "--to", tmp_path / "xor.gds", "--picture", tmp_path / "xor.png")
    assert result.exit_code == 1
    assert "40 shapes of a layer are too many to see" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["xor.gds"]


def test_without_klayout_the_command_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("harness.exchange.layout.layout.find_spec", lambda name: None)
    result = run("xor", "--to", tmp_path / "a.gds")
    assert result.exit_code == 1
    assert "layouts need the Python package klayout, which is not installed: pip install" in result.stderr
