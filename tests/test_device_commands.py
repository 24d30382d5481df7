"""Devices on the command line, and the curves behind their pictures."""

import json
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from harness.cli import main
from harness.devices import PRESETS, SPECIMENS, ExponentialStep, Specimen, hysteresis, preset, specimen, spread
from harness.devices.curves import potentiation_and_depression, switched
from harness.devices.presets import POTENTIOMETERS, Preset
from harness.errors import CircuitError
from harness.pictures.devices import CELLS
from harness.settings import read_settings

LAW = ExponentialStep(3e-6, 4e-5, 40, 30, 2.4, 5.0)
by_name = pytest.mark.parametrize("shown", SPECIMENS, ids=lambda shown: shown.name)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


@pytest.fixture
def measured(tmp_path: Path) -> Path:
    """Two cycles of `LAW` with 0.5 % of read noise."""
    rng, rows = np.random.default_rng(0), ["pulse,conductance,direction"]
    for cycle in range(2):
        for up, levels in zip((True, False), potentiation_and_depression(LAW, (40, 30)), strict=True):
            for count, siemens in enumerate(levels[:, 0] + 1.85e-7 * rng.normal(size=len(levels))):
                rows.append(f"{1000 * cycle + count},{siemens * 1e6:.4f} µS,{'up' if up else 'down'}")
    path = tmp_path / "my cell.csv"
    path.write_text("\n".join(rows) + "\n")
    return path


@by_name
def test_loops_are_pinched_and_shrink_with_frequency(shown: Specimen) -> None:
    slow, fast = (hysteresis(shown.model, shown.amplitude, hertz, shown.start) for hertz in shown.hertz)
    for loop in (slow, fast):
        assert loop.volts.max() == pytest.approx(shown.amplitude)
        assert loop.volts.min() == pytest.approx(-shown.amplitude)
        crossing = np.abs(loop.volts) < 1e-9
        assert crossing.sum() == 3
        assert np.abs(loop.amperes[crossing]).max() < 1e-8 * np.abs(loop.amperes).max()
        assert (loop.volts * loop.amperes >= 0).all()
    box = [np.ptp(loop.volts) * np.ptp(loop.amperes) for loop in (slow, fast)]
    assert slow.area / box[0] > 0.02
    assert slow.area > 4 * fast.area > 0
    assert np.ptp(slow.states) > 2 * np.ptp(fast.states)


def test_the_loop_of_a_memristor_that_hardly_moves_is_that_of_a_resistor() -> None:
    shown = specimen("Linear-Ion-Drift")
    loop = hysteresis(shown.model, 1.0, 1e5, 0.5)
    np.testing.assert_allclose(loop.amperes, loop.volts / 8050, atol=1e-8)


@by_name
def test_specimens_switch_over_most_of_their_range_and_back(shown: Specimen) -> None:
    up, down = switched(shown)
    assert up.size == down.size == shown.pulses + 1
    assert (np.diff(up) >= 0).all()
    assert (np.diff(down) <= 0).all()
    whole = np.ptp(shown.model.conductance(np.array([0.0, 1.0])))
    assert np.ptp(up) > 0.75 * whole
    assert np.ptp(down) > 0.7 * whole


def test_wrong_sines_and_names_are_refused() -> None:
    with pytest.raises(CircuitError, match=r"hysteresis: 1 V at 0 Hz must both be finite and above 0"):
        hysteresis(SPECIMENS[0].model, 1.0, 0.0, 0.5)
    with pytest.raises(CircuitError, match=r"no memristor model 'vtaem'; did you mean 'vteam'\?"):
        specimen("vtaem")


def test_published_curves_cross_the_range_and_scatter_as_published() -> None:
    device = preset("Ag:a-Si")
    assert isinstance(device, Preset)
    law, counts = device.response(), (97, 100)
    up, down = potentiation_and_depression(law, counts)
    assert (up.shape, down.shape) == ((98, 1), (101, 1))
    assert (up[-1, 0], down[-1, 0]) == pytest.approx(law.bounds[::-1])
    streams = {"devices": np.random.default_rng(0), "cycles": np.random.default_rng(1)}
    cells = spread(law, (CELLS,), device_to_device=0, cycle_to_cycle=0.035, **streams)
    scattered, _ = potentiation_and_depression(cells, counts, CELLS)
    steps = (np.diff(scattered, axis=0) - np.diff(up, axis=0))[:3] / np.ptp(law.bounds)
    inside = scattered[1:4].min(axis=0) > law.bounds[0]
    assert steps[:, inside].std() == pytest.approx(0.035, rel=0.2)


def test_the_list_has_every_device_with_its_source_and_what_is_not_verified() -> None:
    listed = json.loads(run("devices", "list", "--json").stdout)
    rows = {row["name"]: row for row in listed["devices"]}
    assert set(rows) == {device.name for device in (*PRESETS, *POTENTIOMETERS)}
    assert listed["models"] == [shown.name for shown in SPECIMENS]
    assert all(row["paper"] and row["verified"] for row in rows.values())
    assert rows["PCMO"]["g_max"] == pytest.approx(1 / 23e6)
    assert rows["Li ECRAM"]["energy"] == 1e-15
    assert rows["MCP4251-10"]["pulses_up"] == 256
    table = run("devices", "list").stdout
    for text in ("HZO FeFET", "39.7 nS … 1.79 µS", "1.75, -1.46", "1 fJ", "data-driven", "nonlinearity_down"):
        assert text in table


@pytest.mark.parametrize("name", ["data-driven", "HZO FeFET", "li ecram", "MCP4251-10"])
def test_devices_are_drawn(name: str, tmp_path: Path) -> None:
    pictures = [tmp_path / f"{kind}.svg" for kind in ("one", "two")]
    for file in pictures:
        result = run("show", "device", name, "--to", str(file))
        assert result.exit_code == 0, result.output
    text = pictures[0].read_text()
    assert text.startswith("<?xml")
    assert text.count("<path") > 20
    assert pictures[1].read_text() == text


def test_measured_pulses_are_fitted_drawn_and_ready_to_paste(measured: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(measured.parent)
    result = run("devices", "import", "my cell.csv", "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert (found["name"], found["curves"], found["rows"]) == ("my cell", 4, 144)
    assert (found["g_min"], found["g_max"]) == pytest.approx((3e-6, 4e-5), rel=0.05)
    assert (found["pulses_up"], found["pulses_down"]) == (40, 30)
    assert found["rms_error"] == pytest.approx(0.005, rel=0.3)
    assert found["rms_error_S"] == pytest.approx(found["rms_error"] * (found["g_max"] - found["g_min"]))
    assert found["cycle_to_cycle"] == pytest.approx(0.005 * np.sqrt(2), rel=0.3)
    assert Path(found["picture"]).read_bytes().startswith(b"\x89PNG")
    pasted = (files("harness") / "experiments" / "xor.toml").read_text() + "\n" + found["section"]
    settings = read_settings(pasted, "pasted")
    assert settings.programming is not None
    assert str(settings.programming.file).endswith("my cell.csv")


def test_an_import_says_how_well_it_fits_and_show_draws_the_same(measured: Path, tmp_path: Path) -> None:
    told = run("devices", "import", str(measured), "--name", "mine", "--to", str(tmp_path / "fit.svg"))
    assert told.exit_code == 0, told.output
    for text in ("mine", "40, 30", "rms error of the fit", "% of the range", "[programming]", 'my cell.csv"'):
        assert text in told.stdout
    assert run("show", "device", str(measured), "--to", str(tmp_path / "shown.svg")).exit_code == 0
    assert "measured" not in told.stderr
    assert (tmp_path / "fit.svg").read_text().count("<use") > 144  # a mark for every row


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "bad.csv: it is empty; a table begins with a line of headings"),
        ("pulse,up\n", "no column conductance; a file has the columns pulse, conductance, direction"),
        ("pulse,conductance,direction\n1,1e-6\n", "line 2: 2 cells where the heading in line 1 has 3, cut at commas"),
        ("pulse,conductance,direction\n", "0 rows of data are fewer than 2"),
        ("pulse,conductance,direction\n1,1e-6,up\n,2e-6,up\n", "row 3, column pulse: no value"),
        ("pulse,conductance,direction\n1,1e-6,up\n2,9 kΩ,up\n", "row 3, column conductance: '9 kΩ' should be in S"),
        ("pulse,conductance,direction\n1,1e-6,up\n2,9e-6,up\n3,5e-6,up\n", "row 4, column conductance: 4 µS down in a"),
        ("pulse,conductance,direction\n1,1e-6,up\n2,2e-6,up\n", "column direction: no run of 4 rows up"),
    ],
)
def test_a_bad_file_is_one_sentence_with_row_and_column(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "bad.csv").write_text(text)
    for words in (["devices", "import"], ["show", "device"]):
        result = run(*words, str(tmp_path / "bad.csv"), "--to", str(tmp_path / "bad.png"))
        assert result.exit_code == 1
        assert message in result.stderr
        assert result.stderr.count("\n") == 1
        assert not result.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["bad.csv"]


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["show", "device", "PCM0", "--to", "a.png"], 1, "there is no device 'PCM0'; did you mean 'PCMO'?"),
        (["show", "device", "vtem", "--to", "a.png"], 1, "there is no device 'vtem'; did you mean 'vteam'?"),
        (["show", "device", "--to", "a.png"], 2, "a NAME belongs to harness show device NAME"),
        (["show", "xor", "PCMO", "--to", "a.png"], 2, "a NAME belongs to harness show device NAME"),
        (["show", "device", "PCMO", "--to", "a.gif"], 2, "write a name that ends in .png or .svg"),
        (["devices", "import", "a.csv", "--to", "no/a.png"], 2, "there is no folder no"),
        (["devices", "import", "a.csv", "--noise", "2"], 2, "2.0 is not in the range 0<=x<=1"),
        (["devices", "import", "a.csv"], 1, "a.csv: there is no such file"),
    ],
)
def test_wrong_words_are_refused(
    words: list[str], code: int, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run(*words)
    assert result.exit_code == code
    assert message in result.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("command", ["list", "import"])
def test_the_commands_explain_themselves(command: str) -> None:
    shown = CliRunner().invoke(main, ["devices", command, "--help"], prog_name="harness").stdout
    assert shown.startswith(f"Usage: harness devices {command}")
    assert "--json" in shown
