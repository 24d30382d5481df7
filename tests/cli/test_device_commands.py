"""Devices on the command line, and the curves behind their pictures."""

import json
import re
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from harness.cli.main import main
from harness.cli.terminal import ERR, OUT
from harness.devices.curves import (
    SPECIMENS,
    Loop,
    Specimen,
    hysteresis,
    potentiation_and_depression,
    specimen,
    switched,
)
from harness.devices.presets import POTENTIOMETERS, PRESETS, Preset, preset
from harness.devices.pulses import ExponentialStep, spread
from harness.errors import CircuitError, ExperimentError
from harness.experiment.experiment import Experiment
from harness.experiment.settings import read_settings
from harness.pictures.devices import CELLS

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


def area(loop: Loop) -> float:
    """V A inside the loop's two lobes, at positive and at negative volts, whichever way they turn."""
    steps, middle = np.diff(loop.volts), (loop.amperes[1:] + loop.amperes[:-1]) / 2
    positive = loop.volts[1:] + loop.volts[:-1] > 0
    return float(abs((steps * middle)[positive].sum()) + abs((steps * middle)[~positive].sum()))


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
    assert area(slow) / box[0] > 0.02
    assert area(slow) > 4 * area(fast) > 0
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


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_the_list_fits_the_terminal(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for console in (OUT, ERR):
        monkeypatch.setattr(console, "_width", columns)
    lines = run("devices", "list").stdout.splitlines()
    assert max(map(len, lines)) <= columns
    assert len(lines) > 40


UP_DOWN = "up", "down"


def pulses(path: Path, heading: str = "conductance", words: tuple[str, str] = UP_DOWN, unit: float = 1) -> Path:
    """A device of 5…25 µS, 50 pulses each way with 0.5 % of read noise, in the given words."""
    rng, rows = np.random.default_rng(1), [f"pulse,{heading},direction"]
    law = ExponentialStep(5e-6, 25e-6, 50, 50, 3.0, 4.0)
    for word, levels in zip(words, potentiation_and_depression(law, (50, 50)), strict=True):
        noisy = levels[:, 0] + 1e-7 * rng.normal(size=len(levels))
        rows += [f"{count},{siemens / unit:.9g},{word}" for count, siemens in enumerate(noisy)]
    path.write_text("\n".join(rows) + "\n")
    return path


@pytest.mark.parametrize("set_", ["SET", "Potentiation"])
def test_units_in_headings_and_words_of_the_field_are_read(set_: str, tmp_path: Path) -> None:
    reset = {"SET": "reset"}.get(set_, "DEPRESSION")
    fitted = []
    for heading, words, unit in (
        ("conductance", UP_DOWN, 1),
        ("conductance", (set_, reset), 1),
        ("conductance (uS)", UP_DOWN, 1e-6),
        (" conductance (µS)", (set_, reset), 1e-6),
    ):
        file = pulses(tmp_path / "pulses.csv", heading, words, unit)
        found = json.loads(run("devices", "import", str(file), "--json", "--to", str(tmp_path / "p.svg")).stdout)
        fitted.append([found[key] for key in ("g_min", "g_max", "nonlinearity_up", "nonlinearity_down")])
    np.testing.assert_allclose(fitted[1:], [fitted[0]] * 3, rtol=1e-4)


def test_the_printed_section_trains_iris(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    pulses(tmp_path / "pulses.csv")
    printed = run("devices", "import", "pulses.csv").stdout
    section = printed[printed.index("[programming]") : printed.index("Its cells then reach from 5")]
    text = (files("harness.experiment") / "packaged" / "iris.toml").read_text() + "\n" + section
    (tmp_path / "mine.toml").write_text(text)
    subject = Experiment.load("mine.toml", ["chip.kind=nodal", "training.epochs=12"])
    assert not subject.warnings()
    made = subject.create_run(tmp_path / "run")
    recorded = Experiment.from_file(made.experiment)
    assert (recorded.settings.network.g_min, recorded.settings.network.g_max) == pytest.approx((5e-6, 25e-6), rel=0.05)
    assert recorded.settings.network == recorded.fitted.network == subject.fitted.network
    result = subject.train(made, pictures=False)
    assert result is not None
    assert result["test_accuracy"] > 0.85


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ([], "100 of 100 cells start below .* µS, the smallest"),
        (["programming.range=array"], "one pulse of pulses moves a cell by .*, and its fresh cells differ by .* noise"),
        (["network.g_min=50 uS", "programming.range=array"], "all 100 cells start at 50 µS, and nodes"),
    ],
)
def test_dead_networks_are_warned_of_before_training(changes: list[str], said: str, tmp_path: Path) -> None:
    file = pulses(tmp_path / "pulses.csv")
    warnings = Experiment.load("iris", [f"programming.file={file}", *changes]).warnings()
    assert re.search(said, "\n".join(warnings)), warnings


def test_cells_that_all_start_at_a_bound_are_warned_of_without_pulses_too() -> None:
    warnings = Experiment.load("iris", ["network.g_min=50 uS"]).warnings()
    assert any("all 100 cells start at 50 µS" in warning for warning in warnings)
    for name in ("iris", "xor", "digits", "regression", "biased-updates"):
        assert not Experiment.load(name).warnings(), name


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ('law = "linear"\npulses = 9\nrange = "device"', "programming.range: a law has no conductances of its own"),
        ('device = "Li ECRAM"\nrange = "device"', "programming.range: the source of Li ECRAM gives no conductances"),
        ('device = "PCMO"\nrange = "device"\non_off_ratio = 4', "on_off_ratio: range = 'device' leaves it out"),
    ],
)
def test_a_range_that_a_device_does_not_have_is_refused(section: str, message: str) -> None:
    text = (files("harness.experiment") / "packaged" / "xor.toml").read_text() + f"\n[programming]\n{section}\n"
    with pytest.raises(ExperimentError, match=message):
        read_settings(text, "mine")


def test_a_published_device_of_its_own_range_spreads_over_it_in_any_network() -> None:
    for name in ("iris", "regression"):
        subject = Experiment.load(name, ["programming.device=EpiRAM Ag:SiGe", "programming.range=device"])
        low, high = preset("EpiRAM Ag:SiGe").response().bounds
        for array in subject.circuit.arrays:
            assert (array.g_min, array.g_max) == (low, high)
            assert array.conductances.max() > 0.8 * high


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
    pasted = (files("harness.experiment") / "packaged" / "xor.toml").read_text() + "\n" + found["section"]
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
        (
            "pulse,up\n",
            "no column conductance; a file of measured pulses has the columns pulse, conductance, direction",
        ),
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
