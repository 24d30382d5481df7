"""Profiles of boards: every section, and a sentence for what is wrong in one."""

from pathlib import Path

import numpy as np
import pytest

from harness.chip.bench.cells import addresses
from harness.chip.bench.profile import WriteMode, load_profile, packaged_profiles, read_profile
from harness.circuit import Circuit
from harness.errors import ExperimentError
from harness.measurement import Access, Clamp, Injection
from tests.conftest import kendall

OWN = """
name = "mine"

[identity]
resource = "TCPIP0::192.168.0.7::5025::SOCKET"
expects = "Lab,Board"

[channels]
inputs = { x0 = 3, x1 = "4" }
outputs = { y0 = [0, 1], y1 = 2 }
cells = "map.csv"

[can]
nudge = ["injection", "clamp"]
access = "outputs"
batch = 64

[timing]
settle = "5 ms"
settle_check = "1 mV"

[limits]
v_max = "2 V"
i_max = "1 mA"
pulse_v_max = "3 V"
pulse_s_max = "1 ms"
pulses_per_cell = 100_000

[write]
mode = "verify"
tolerance = "0.5 uS"
pulse_v = "1.5 V"
pulse_s = "10 us"

[calibration]
file = "today.toml"
max_age = "24 h"
"""


def test_a_profile_is_read_in_si_units_with_its_files_beside_it(tmp_path: Path) -> None:
    found = read_profile(OWN, "mine.toml", tmp_path)
    assert found.timing.settle == 5e-3
    assert found.limits.i_max == 1e-3
    assert found.write.mode is WriteMode.VERIFY
    assert found.calibration is not None
    assert found.calibration.max_age == 86400
    assert found.calibration.file == tmp_path / "today.toml"
    assert found.channels.cells == tmp_path / "map.csv"
    assert found.channels.inputs == {"x0": "3", "x1": "4"}
    assert found.channels.outputs == {"y0": ("0", "1"), "y1": ("2",)}
    assert found.can.capabilities.nudges == {Injection, Clamp}
    assert found.can.capabilities.access is Access.OUTPUTS


@pytest.mark.parametrize("name", packaged_profiles())
def test_packaged_profiles_say_what_they_were_tested_against(name: str) -> None:
    found = load_profile(name)
    assert found.name == name
    assert "board" in found.tested
    assert read_profile(found.to_toml(), "kept.toml") == found, "as a run keeps it"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('settle = "5 ms"', 'settel = "5 ms"', r"mine.toml, line 19: unknown key 'timing.settel'; did you mean"),
        ('v_max = "2 V"', 'v_max = "-2 V"', r"line 23: limits.v_max = '-2 V': must be above 0 V"),
        ('v_max = "2 V"\n', "", r"line 22: key 'limits.v_max' is missing"),
        ('i_max = "1 mA"\n', "", r"limits.i_max: it is missing, and can.nudge has injection"),
        ('pulse_v_max = "3 V"\n', "", r"limits.pulse_v_max: it is missing, and write.mode = 'verify' needs it"),
        ('pulse_v = "1.5 V"', 'pulse_v = "3.5 V"', r"write.pulse_v = 3.5: it is beyond limits.pulse_v_max"),
        ('mode = "verify"', 'mode = "open-loop"', r"write.step: it is missing, and write.mode = 'open-loop' needs it"),
        ('mode = "verify"', 'mode = "verifi"', r"write.mode = 'verifi': must be .*did you mean 'verify'"),
        ('"clamp"]', '"clam"]', r"can.nudge\[1\] = 'clam': must be .*did you mean 'clamp'"),
        ("batch = 64", "batch = 64\nsmall_signal = true", r"can.small_signal = True: must be False"),
        ('tolerance = "0.5 uS"', 'tolerance = "0.5 uS"\nread_v = "0.2 V"', "reads its cells by itself"),
        ('max_age = "24 h"', 'max_age = "24 parsec"', r"calibration.max_age"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(old: str, new: str, message: str) -> None:
    assert old in OWN
    with pytest.raises(ExperimentError, match=message):
        read_profile(OWN.replace(old, new), "mine.toml")


DRIVEN = """
name = "a"
[identity]
protocol = "arc2"
[limits]
v_max = 0.5
[channels]
inputs = { x0 = 16, x1 = 17 }
outputs = { y0 = 0 }
"""


@pytest.mark.parametrize(
    ("channels", "message"),
    [
        ("complements = { x9 = 18 }", r"channels.complements.x9: there is no such input in channels.inputs"),
        ("complements = { x0 = 17 }", r"channels.inputs: channel 17 is driven twice"),
        ('held = { 20 = "0.6 V" }', r"channels.held.20 = 0.6: it is beyond limits.v_max"),
        ('held = { 16 = "-0.1 V" }', r"channels.inputs: channel 16 is driven twice"),
        ('held = { 20 = "0.1 A" }', r"channels.held.20: '0.1 A' should be in V"),
        ("gain = 0", r"channels.gain = 0: must be above 0"),
    ],
)
def test_lines_that_are_driven_must_be_right(channels: str, message: str) -> None:
    with pytest.raises(ExperimentError, match=message):
        read_profile(DRIVEN + channels, "a.toml")


def test_lines_are_driven_by_boards_without_amplifiers_of_their_own() -> None:
    read_profile(DRIVEN + "gain = 0.1", "a.toml")
    with pytest.raises(ExperimentError, match=r"channels: protocol = 'arc2' needs the inputs and the outputs"):
        read_profile(DRIVEN.replace("outputs = { y0 = 0 }", ""), "a.toml")
    for key in ("gain = 0.1", "complements = { x0 = 18 }", "held = { 20 = 0.1 }"):
        with pytest.raises(ExperimentError, match=r"a board of protocol = 'scpi' makes of its inputs what is needed"):
            read_profile(DRIVEN.replace("arc2", "scpi") + key, "a.toml")


def test_a_wrong_name_gets_the_nearest() -> None:
    with pytest.raises(ExperimentError, match="there is no profile 'virtul'; did you mean 'virtual'"):
        load_profile("virtul")


# --- cells


def circuit() -> Circuit:
    return kendall([4])


def test_arrays_lie_along_the_diagonal() -> None:
    first, second = addresses(circuit())
    rows, columns = circuit().arrays[0].shape
    assert first[0].tolist() == [0, 0]
    assert first[1].tolist() == [0, 1]
    assert first[-1].tolist() == [rows - 1, columns - 1]
    assert second[0].tolist() == [rows, columns]


def written_map(tmp_path: Path, change: tuple[int, str] | None = None) -> Path:
    lines = ["array,word,bit,w,b"]
    for array, places in zip(circuit().arrays, addresses(circuit()), strict=True):
        for position, (w, b) in zip(np.ndindex(array.shape), places.tolist(), strict=True):
            lines.append(f"{array.name},{position[0]},{position[1]},{b},{w}")
    if change is not None:
        lines[change[0]] = change[1]
    path = tmp_path / "map.csv"
    path.write_text("\n".join(filter(None, lines)) + "\n")
    return path


def test_a_map_says_where_cells_lie(tmp_path: Path) -> None:
    mapped = addresses(circuit(), written_map(tmp_path))
    for one, other in zip(mapped, addresses(circuit()), strict=True):
        np.testing.assert_array_equal(one, other[:, ::-1])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ((1, ""), "map.csv: crossbar w1 has 1 cell without a place"),
        ((1, "w9,0,0,0,0"), "map.csv, line 2: there is no array 'w9'; the circuit has w1, w2"),
        ((2, "w1,0,0,9,9"), r"line 3: cell w1\[0, 0\] is there twice"),
        ((2, "w1,0,1,0,0"), "line 3: the place w = 0, b = 0 is taken in line 2"),
        ((2, "w1,0,99,0,1"), "line 3: bit is 99, and crossbar w1 has 0…"),
        ((2, "w1,0,-1,0,1"), "line 3: bit is '-1', and must be a whole number"),
    ],
)
def test_a_wrong_map_is_refused_with_its_line(tmp_path: Path, change: tuple[int, str], message: str) -> None:
    with pytest.raises(ExperimentError, match=message):
        addresses(circuit(), written_map(tmp_path, change))


@pytest.mark.parametrize("pattern", ["(", "[a", "a{99999999999}", "*"])
def test_a_pattern_that_is_none_is_refused(pattern: str) -> None:
    text = OWN.replace('expects = "Lab,Board"', f"expects = '{pattern}'")
    with pytest.raises(ExperimentError, match=r"mine.toml, line 6: identity.expects: must be a regular expression"):
        read_profile(text, "mine.toml")
