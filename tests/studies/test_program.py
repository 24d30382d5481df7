"""`harness program`: closed and open loops, what pulses do to other cells, ngspice, its folder, and what it refuses."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from harness.circuit import Circuit, Crossbar, InputSource, Output, Resistor
from harness.cli.main import main
from harness.devices.arrays.mesh import Lines
from harness.devices.arrays.schemes import Scheme
from harness.devices.pulses import WritePulse
from harness.errors import CircuitError, DataError
from harness.experiment.experiment import Experiment
from harness.measurement import Array
from harness.studies.program.control import Control, Mode
from harness.studies.program.devices import Wires, device_named
from harness.studies.program.program import Plan, Program, Timing, program
from harness.studies.program.rows import COLUMNS, read_rows, rows_bytes
from harness.studies.program.simulated import simulated

HEADING = ",".join(COLUMNS)
RNG = np.random.default_rng(3)
GOALS = RNG.uniform(2e-6, 9e-6, (4, 4))
START = RNG.uniform(2e-6, 9e-6, (4, 4))


def square(goals: Array = GOALS) -> Circuit:
    """One crossbar between inputs and loaded outputs."""
    words, bits = ([f"{letter}{k}" for k in range(size)] for letter, size in zip("xy", goals.shape, strict=True))
    elements = (
        *(InputSource(f"v{word}", word, k, 1.0) for k, word in enumerate(words)),
        Crossbar("w", tuple(words), tuple(bits), goals, 0.0, 1e-5),
        *(Resistor(f"load{k}", bit, "0", 1e-3) for k, bit in enumerate(bits)),
    )
    return Circuit("square", elements, tuple(Output(f"o{k}", bit) for k, bit in enumerate(bits)))


def planned(device: str, *, start: Array | None = START, **more: object) -> Program:
    plan = Plan(device_named(device), full_scale=1e-5, **more)  # type: ignore[arg-type]
    return program(square(), None if start is None else [start], plan)  # type: ignore[arg-type]


NGSPICE = (  # device, Ω of a segment, scheme
    pytest.param("yakopcic", 0.0, Scheme.THIRD, id="yakopcic-third"),
    pytest.param("yakopcic", 0.3, Scheme.HALF, id="yakopcic-half-with-lines"),
    pytest.param("stanford", 0.0, Scheme.HALF, id="stanford-half"),
)


@pytest.mark.ngspice
@pytest.mark.parametrize(("device", "ohms", "scheme"), NGSPICE)
def test_the_model_is_within_2_percent_of_ngspice_with_all_cells_of_a_4_by_4_array(
    device: str, ohms: float, scheme: Scheme
) -> None:
    """Cells in every line are written, up and down; the lines are driven by the scheme."""
    start = GOALS.copy()
    start[range(4), [1, 3, 0, 2]] = (2e-6, 9.5e-6, 2e-6, 9.5e-6)
    control = Control(Mode.ISPP, tolerance=0.1, max_pulses=2, rounds=1, ramp=(0.9, 0.1, 1.2))
    found = planned(device, start=start, scheme=scheme, control=control, wires=Wires(Lines(ohms, ohms)))
    (array,) = found.arrays
    compared = simulated(found.plan, array)
    assert compared.pulses == array.record.pulses >= 4
    assert compared.disturbed <= compared.largest < 0.005
    assert compared.joules == pytest.approx(compared.joules_model, rel=0.02)
    if device == "yakopcic":  # there is something to compare: other cells' pulses have moved cells by far more
        assert array.disturbed.max() / array.span > 20 * compared.disturbed


@pytest.mark.parametrize("mode", [Mode.ISPP, Mode.PI])
@pytest.mark.parametrize("scheme", [*Scheme])
def test_closed_loops_end_in_their_windows(scheme: Scheme, mode: Mode) -> None:
    """Half of the largest pulse is below the device's threshold, so that no cell is disturbed."""
    device = device_named("yakopcic", WritePulse(0.28, 2e-5), WritePulse(-0.28, 2e-5))
    control = Control(mode, tolerance=0.02, ramp=(0.7, 0.02, 1.05))
    (array,) = program(square(), [START], Plan(device, scheme, control, full_scale=1e-5)).arrays
    assert not array.disturbed.any()
    assert not array.missed.any()
    off = np.abs(array.reached - np.clip(GOALS, *array.bounds)) / array.span
    assert off.max() <= 0.02 + 1e-9
    assert array.error == pytest.approx((np.sqrt(np.mean(off**2)), off.max()))
    assert array.record.reads >= array.record.pulses > 0


def test_a_closed_loop_goes_over_cells_again_that_others_have_disturbed() -> None:
    once, again = (
        planned("yakopcic", control=Control(Mode.VERIFY, 0.1, 20, rounds), scheme=Scheme.THIRD).arrays[0]
        for rounds in (1, 4)
    )
    assert once.missed.sum() > again.missed.sum()
    assert again.record.pulses > once.record.pulses


def test_cells_that_no_pulse_brings_into_the_window_are_named() -> None:
    found = planned("linear-ion-drift", control=Control(Mode.VERIFY, 0.01, 2, 1)).to_json()
    missed = found["arrays"][0]["missed"]
    assert found["missed_cells"] == len(missed) > 4
    assert all(0 <= word < 4 and 0 <= bit < 4 for word, bit in missed)


def test_an_open_loop_without_neighbours_ends_within_half_a_pulse() -> None:
    """Of the cells that are alone; with V/2 over their neighbours they end elsewhere."""
    device = device_named("yakopcic", WritePulse(0.4, 1e-5), WritePulse(-0.4, 1e-5))
    ends = {}
    for scheme in (Scheme.ALONE, Scheme.HALF):
        found = program(
            square(), [START], Plan(device, scheme, Control(Mode.OPEN_LOOP, max_pulses=1000), full_scale=1e-5)
        )
        (array,) = found.arrays
        assert array.record.reads == 0
        assert all(row.window is None for row in found.rows)
        ends[scheme] = array.error[1]
    model = device.kind
    states = np.linspace(0.15, 0.95, 50)
    largest = max(
        np.abs(model.conductance(states + model.rate(volts, states) * 1e-5) - model.conductance(states)).max()
        for volts in (0.4, -0.4)
    )
    assert ends[Scheme.ALONE] < 0.55 * largest / float(model.conductance(1.0))
    assert ends[Scheme.HALF] > 5 * ends[Scheme.ALONE]


def test_time_is_that_of_pulses_gaps_and_reads() -> None:
    found = planned("data-driven", control=Control(tolerance=0.05), timing=Timing(3e-6, 7e-6))
    (array,) = found.arrays
    widths = sum(row.seconds * row.count for row in found.rows)
    assert array.record.pulses == sum(row.count for row in found.rows)
    assert array.seconds == pytest.approx(widths + 3e-6 * array.record.pulses + 7e-6 * array.record.reads)
    assert found.to_json()["seconds"] == array.seconds


def test_a_device_with_a_law_of_pulses_needs_a_threshold_or_a_selector() -> None:
    device, control = "EpiRAM Ag:SiGe", Control(Mode.VERIFY, 0.02)
    with pytest.raises(
        CircuitError, match=r"known by its pulses alone, and what 2\.5 V over other cells do is not known"
    ):
        planned(device, control=control)
    with pytest.raises(CircuitError, match=r"2\.5 V over other cells do, above its threshold of 2 V, is not known"):
        planned(device, control=control, threshold=2.0)
    for more in ({"threshold": 3.0}, {"scheme": Scheme.ALONE}, {"scheme": Scheme.THIRD, "threshold": 2.0}):
        (array,) = planned(device, control=control, **more).arrays
        assert not array.missed.any()
        assert not array.disturbed.any()
        assert array.joules > 0
    with pytest.raises(CircuitError, match="known by its own pulses alone, and ispp takes others"):
        planned(device, scheme=Scheme.ALONE)
    with pytest.raises(CircuitError, match=r"lines take part of their volts is not known; set variation\.line_word"):
        planned(device, scheme=Scheme.ALONE, control=control, wires=Wires(Lines(1.0, 0.0)))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: device_named("memristor"), "no device 'memristor'"),
        (
            lambda: device_named("stanford", up=WritePulse(-1.5, 1e-9)),
            "the pulse up, -1.5 V for 1 ns, moves no conduct",
        ),
        (lambda: device_named("Li ECRAM"), "its pulse up is not known; give it, such as --up 1V,1us"),
        (lambda: planned("stanford", threshold=1.0), "has an equation of state that says what volts do; no threshold"),
        (lambda: Control(tolerance=0.0), "tolerance 0 must be above 0 and at most 0.5 of the range"),
        (lambda: Control(ramp=(1.3, 0.1, 1.2)), "ramp 1.3, 0.1, 1.2 must rise"),
        (lambda: Control(gains=(0.0, 0.0)), "gains 0 and 0 must be at least 0, not both 0"),
        (lambda: Control(rounds=0), "100 pulses and 0 rounds must lie in"),
        (lambda: Timing(gap=-1.0), "gap -1 s must be finite and not below 0 s"),
    ],
)
def test_what_cannot_be_planned_is_refused_with_value_and_bound(make: object, message: str) -> None:
    with pytest.raises(CircuitError, match=message):
        make()  # type: ignore[operator]


def test_rows_come_back_as_they_were_written(tmp_path: Path) -> None:
    found = planned("data-driven", control=Control(tolerance=0.05))
    (tmp_path / "program.csv").write_bytes(rows_bytes(found.rows))
    assert read_rows(tmp_path / "program.csv", square()) == found.rows
    assert len(found.rows) > 5


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n", "the first line must be array,word,bit"),
        (f"{HEADING}\nv,0,0,up,1,1e-9,1,,\n", "line 2: there is no array 'v'; the network has w"),
        (f"{HEADING}\nw,4,0,up,1,1e-9,1,,\n", "line 2: word is '4', and must be a whole number from 0 to 3"),
        (f"{HEADING}\nw,0,²,up,1,1e-9,1,,\n", "line 2: bit is '²', and must be a whole number from 0 to 3"),
        (f"{HEADING}\nw,0,-1,up,1,1e-9,1,,\n", "line 2: bit is '-1'"),
        (f"{HEADING}\nw,0,0,UP,1,1e-9,1,,\n", "line 2: polarity is 'UP', and must be up or down"),
        (f"{HEADING}\nw,0,0,up,nan,1e-9,1,,\n", "line 2: voltage: 'nan' is no quantity"),
        (f"{HEADING}\nw,0,0,up,1e999,1e-9,1,,\n", "line 2: voltage: "),
        (f"{HEADING}\nw,0,0,up,1,0,1,,\n", "line 2: pulses must have volts, last longer than 0 s and be at least one"),
        (f"{HEADING}\nw,0,0,up,1,1e-9,0,,\n", "line 2: pulses must have volts"),
        (f"{HEADING}\nw,0,0,up,1,1e-9,1000001,,\n", "line 2: pulses is '1000001', and must be a whole number"),
        (f"{HEADING}\nw,0,0,up,1,1e-9,1,2e-6,1e-6\n", "line 2: the window from 2e-6 S to 1e-6 S is out of order"),
        (f"{HEADING}\nw,0,0,up,1,1e-9,1,2e-6,\n", "line 2: verify to: '' is no quantity"),
        (f"{HEADING}\nw,0,0,up,1,1e-9,1,,,\n", "line 2: 10 cells where the heading in line 1 has 9"),
        (f"{HEADING}\nw,0,0,up,1 V\n.quit,1e-9,1,,\n", "line 2: 5 cells where the heading"),
    ],
)
def test_a_table_that_is_wrong_is_refused_with_its_line(text: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "program.csv"
    file.write_text(text)
    with pytest.raises(DataError) as caught:
        read_rows(file, square())
    assert message in str(caught.value)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("program") / "run"
    subject = Experiment.load("xor", ["chip.kind=nodal", "training.epochs=2"])
    subject.train(subject.create_run(path), pictures=False)
    return path


def command(*words: object) -> Result:
    return CliRunner().invoke(main, ["program", *map(str, words)])


def test_the_command_writes_a_folder_that_leads_to_a_run_of_what_was_written(run: Path, tmp_path: Path) -> None:
    result = command(run, "--device", "yakopcic", "--scheme", "alone", "--to", tmp_path / "out", "--json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    kept = json.loads((tmp_path / "out" / "program.json").read_text())
    assert {"folder": str(tmp_path / "out"), **kept} == told
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == [
        "conductances.csv",
        "program.csv",
        "program.json",
    ]
    rows = list(csv.DictReader(io.StringIO((tmp_path / "out" / "program.csv").read_text())))
    assert sum(int(row["pulses"]) for row in rows) == told["pulses"] > 0
    made = ["conductances", "import", str(run), str(tmp_path / "out" / "conductances.csv"), "--to", str(tmp_path / "w")]
    assert CliRunner().invoke(main, made).exit_code == 0
    shown = CliRunner().invoke(main, ["evaluate", str(tmp_path / "w"), "--chip", "nodal", "--json"])
    assert json.loads(shown.stdout)["test_loss"] == pytest.approx(told["accuracy"]["loss_written"], rel=1e-9)
    trained = Experiment.load("xor", ["chip.kind=nodal"]).circuit.arrays
    assert [array["cells"] for array in told["arrays"]] == [array.conductances.size for array in trained]


def test_a_program_begins_where_another_has_ended(run: Path, tmp_path: Path) -> None:
    """Or where a run stands: no cell needs a pulse then, and the table is empty."""
    words = ["--device", "yakopcic", "--scheme", "alone", "--no-accuracy"]
    assert command(run, *words, "--to", tmp_path / "first").exit_code == 0
    for k, start in enumerate((tmp_path / "first" / "conductances.csv", run)):
        result = command(run, *words, "--from", start, "--to", tmp_path / f"again{k}", "--json")
        assert result.exit_code == 0, result.output
        assert json.loads(result.stdout)["pulses"] == 0
        assert (tmp_path / f"again{k}" / "program.csv").read_text().splitlines() == [HEADING]


@pytest.mark.ngspice
def test_the_command_compares_each_pulse_with_ngspice(run: Path, tmp_path: Path) -> None:
    """From what a program has reached, but for one cell of each array; two pulses for a cell at most."""
    words = ["--device", "yakopcic", "--no-accuracy", "--json"]
    assert command(run, *words, "--scheme", "alone", "--to", tmp_path / "first").exit_code == 0
    table = list(csv.reader(io.StringIO((tmp_path / "first" / "conductances.csv").read_text())))
    for name in ("w1", "w2"):
        cell = max((row for row in table[1:] if row[0] == name), key=lambda row: float(row[-1]))
        cell[-1] = repr(float(cell[-1]) / 2)
    (tmp_path / "start.csv").write_text("\n".join(map(",".join, table)) + "\n")
    words += ["--from", str(tmp_path / "start.csv"), "--scheme", "third", "--ngspice", "--control", "open-loop"]
    words += ["--max-pulses", "2"]
    result = command(run, *words, "--to", tmp_path / "out")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert 4 <= told["pulses"] == sum(array["pulses"] for array in told["ngspice"])
    for array in told["ngspice"]:
        assert 0 < array["largest_difference_of_others"] <= array["largest_difference"] < 0.02
        assert array["joules"] == pytest.approx(array["joules_model"], rel=0.02)


def test_without_a_device_the_program_is_for_that_of_the_run(tmp_path: Path) -> None:
    """Its cells hold what the program aims at, for training clips them to the same range."""
    subject = Experiment.load("xor", ["chip.kind=nodal", "training.epochs=2", "programming.device='PCMO'"])
    subject.train(subject.create_run(tmp_path / "run"), pictures=False)
    words = ["--scheme", "alone", "--control", "verify", "--tolerance", "0.1", "--no-accuracy", "--json"]
    result = command(tmp_path / "run", *words, "--to", tmp_path / "out")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert told["device"]["name"] == "PCMO"
    assert (told["device"]["up"], told["device"]["down"]["voltage_V"]) == ({"voltage_V": -2.0, "width_s": 1e-3}, 2.0)
    assert [array["clipped"] for array in told["arrays"]] == [0, 0]


def test_what_is_missed_is_said_with_exit_code_1_and_the_folder_is_there(run: Path, tmp_path: Path) -> None:
    words = ["--device", "linear-ion-drift", "--rounds", "1", "--max-pulses", "2", "--no-accuracy"]
    result = command(run, *words, "--to", tmp_path / "out")
    assert result.exit_code == 1
    assert "cells not in their windows: [" in result.stderr
    assert (tmp_path / "out" / "program.csv").exists()


def test_lines_of_the_experiment_raise_the_volts_of_the_drivers(run: Path, tmp_path: Path) -> None:
    words = ["--device", "data-driven", "--control", "open-loop", "--no-accuracy", "--max-pulses", "1"]
    lines = ["--set", "variation.line_word=40", "--set", "variation.line_bit=40"]
    found = {}
    for name, more in (("up", lines), ("left", [*lines, "--uncompensated"])):
        result = command(run, *words, *more, "--to", tmp_path / name, "--json")
        assert result.exit_code == 0, result.output
        rows = csv.DictReader(io.StringIO((tmp_path / name / "program.csv").read_text()))
        found[name] = [abs(float(row["voltage (V)"])) for row in rows]
    assert min(found["up"]) > 0.8 == max(found["left"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["xor", "--device", "stanford"], "xor is no run; train it first"),
        (["RUN"], "give a --device: the run was trained without a section programming"),
        (["RUN", "--device", "stanford", "--up", "1.5V"], "'1.5V' is no pulse; write its volts and its width"),
        (["RUN", "--device", "stanford", "--ramp", "1,2"], "'1,2' must be 3 numbers with commas between them"),
        (["RUN", "--device", "stanford", "--from", "nowhere"], "--from nowhere: give fresh, a run, or a table"),
        (["RUN", "--device", "stanford", "--from", "a.csv"], "a.csv: there is no such file"),
        (["RUN", "--device", "Ag:a-Si", "--scheme", "alone", "--ngspice"], "ngspice needs an equation of state"),
        (["RUN", "--device", "stanford", "--scheme", "alone", "--ngspice"], "ngspice is asked for half and third"),
        (["RUN", "--device", "stanford", "--to", "."], "--to .: something is there already"),
    ],
)
def test_what_the_command_refuses(run: Path, tmp_path: Path, words: list[str], message: str) -> None:
    named = [str(run) if word == "RUN" else word for word in words]
    result = command(*named, *([] if "--to" in words else ["--to", tmp_path / "out"]))
    assert result.exit_code in (1, 2)
    assert message in " ".join(result.stderr.split())
    assert not (tmp_path / "out").exists()
