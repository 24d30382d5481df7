"""Experiment files: what reads, what comes back, and one clear sentence for every mistake."""

import json
import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.devices import MosfetModel
from harness.errors import DataError, ExperimentError
from harness.experiment.experiment import Experiment
from harness.experiment.network import DeepResistiveSettings, LayeredSettings
from harness.experiment.packaged import packaged_experiments
from harness.experiment.rule import AnalyticalSettings, CoupledSettings
from harness.experiment.settings import Settings, merged, read_settings
from harness.learning.rules.equilibrium import Nudging
from harness.learning.rules.generalized import Variant

TEXT = """\
name = "small"

[data]
set = "xor"
held_out = 0
targets = ["0 V", "4 V"]

[network]
kind = "layered"
hidden = [10]
g_unit = "10 uS"
g_max = "100 uS"
bias = ["4 V", "2 V"]
shift = ["-1 V", "0 V"]
diode = { saturation_current = "10 pA", emission = 2 }

[rule]
beta = "1 uS"

[update]
kind = "sgd"
rates = [6e-3, 3e-3]

[training]
epochs = 100
batch = 4
"""


def read(old: str = "", new: str = "", overrides: Sequence[str] = (), folder: Path = Path()) -> Settings:
    """The settings above with one piece of their text exchanged."""
    assert TEXT.count(old) == 1 or not old
    return read_settings(TEXT.replace(old, new) if old else TEXT, "my.toml", overrides, folder)


def complaint(old: str = "", new: str = "", overrides: Sequence[str] = ()) -> str:
    with pytest.raises(ExperimentError) as caught:
        read(old, new, overrides)
    return str(caught.value)


def value_at(found: Settings, key: str) -> Any:
    value: Any = found
    for part in key.split("."):
        value = getattr(value, part)
    return value


@pytest.mark.parametrize("name", packaged_experiments())
def test_packaged_experiments_read_and_come_back_the_same(name: str) -> None:
    found = Experiment.load(name).settings
    assert found.name == name
    assert found.description
    assert read_settings(found.to_toml(), "written") == found


def test_there_are_packaged_experiments() -> None:
    assert {"digits", "iris", "xor"} <= set(packaged_experiments())


def test_quantities_become_si_floats_and_the_rest_its_defaults() -> None:
    found = read()
    assert found.network.g_unit == pytest.approx(1e-5)
    assert found.network.diode.saturation_current == pytest.approx(1e-11)
    assert found.network.bias == (4.0, 2.0)
    assert found.data.targets == (0.0, 4.0)
    assert isinstance(found.network, LayeredSettings)
    assert (found.network.shift, found.network.amplifier_gain, found.network.g_min) == ((-1.0, 0.0), 4.0, 0.0)
    assert (found.rule.variant, found.rule.nudging) == (Variant.CENTERED, None)
    assert (found.training.seed, found.chip.kind) == (0, "ngspice")
    assert read("held_out = 0\n").data.held_out is None


def test_the_other_kind_of_network_reads_too() -> None:
    found = read('shift = ["-1 V", "0 V"]\n', "", ["network.kind=deep-resistive"])
    assert isinstance(found.network, DeepResistiveSettings)
    assert read_settings(found.to_toml(), "written") == found


def test_a_network_of_transistors_reads_too() -> None:
    chosen = [
        "network.neuron=mosfet",
        "network.transistor.transconductance=2 mA/V^2",
        "network.transistor.threshold=0.5",
    ]
    found = read(overrides=chosen)
    assert isinstance(found.network, LayeredSettings)
    assert found.network.transistor is not None
    assert found.network.transistor.build() == MosfetModel("mhidden", 2e-3, 0.5)
    assert read_settings(found.to_toml(), "written") == found


def test_settings_are_written_with_every_default() -> None:
    written = tomllib.loads(read().to_toml())
    assert written["network"]["amplifier_gain"] == 4.0
    assert written["rule"]["variant"] == "centered"
    assert written["chip"] == {
        "kind": "ngspice",
        "reltol": 1e-6,
        "vntol": 1e-9,
        "abstol": 1e-12,
        "chunk": 32,
        "access": "nodes",
        "node_capacitance": 0.0,
        "line_capacitance": 0.0,
    }
    assert "file" not in written["data"]


FRACTION = st.just(0.0) | st.floats(1e-9, 1, exclude_max=True)
POSITIVE = st.floats(1e-12, 1e6)
CHANGES = st.fixed_dictionaries(
    {},
    optional={
        "description": st.text(st.characters(codec="utf-8", exclude_characters="\0")),
        "data.held_out": FRACTION,
        "data.targets": st.tuples(st.floats(-10, -1e-9), st.floats(0.001, 10)).map(list),
        "network.g_unit": st.floats(1e-9, 1e3),
        "network.g_max": st.floats(1e-3, 1e6),
        "network.g_min": st.floats(1e-30, 5e-5),
        "network.input_gain": POSITIVE,
        "network.diode.emission": st.floats(0.01, 100),
        "rule.beta": POSITIVE,
        "rule.variant": st.sampled_from([variant.value for variant in Variant]),
        "rule.nudging": st.sampled_from([nudging.value for nudging in Nudging]),
        "update.kind": st.sampled_from(["sgd", "momentum", "adam"]),
        "update.rates": st.sampled_from([1, 2]).flatmap(
            lambda n: st.lists(st.floats(1e-9, 1e9), min_size=n, max_size=n)
        ),
        "update.decay": st.floats(1e-9, 1),
        "training.epochs": st.integers(1, 10**6),
        "training.batch": st.integers(1, 10**6),
        "training.seed": st.integers(0, 2**32 - 1),
        "chip.kind": st.sampled_from(["ngspice", "nodal"]),
        "chip.reltol": st.floats(1e-15, 1e-3, exclude_max=True),
        "chip.chunk": st.integers(1, 1024),
    },
)


@given(changes=CHANGES)
@settings(deadline=None, max_examples=60)
def test_what_is_written_reads_back_equal(changes: dict[str, Any]) -> None:
    found = merged(read(), changes)
    for key, value in changes.items():
        got = value_at(found, key)
        assert (list(got) if isinstance(got, tuple) else got) == value
    assert read_settings(found.to_toml(), "written") == found


@pytest.mark.parametrize("text", ["a\0b", "\ud800"])
def test_a_text_that_no_file_can_hold_is_refused(text: str) -> None:
    with pytest.raises(ExperimentError, match=r"description: the text .* has a character that no text may have"):
        merged(read(), {"description": text})


@pytest.mark.parametrize(
    ("key", "text"),
    [("network.diode.saturation_current", "1e-320 A"), ("rule.beta", "1e200 S"), ("network.bias", "1e308 V")],
)
def test_sizes_that_no_circuit_has_are_refused(key: str, text: str) -> None:
    value = [text, text] if key == "network.bias" else text
    with pytest.raises(
        ExperimentError, match=rf"{key}.*: .* is no figure of a circuit; write 0 or between 1e-30 and 1e\+15"
    ):
        merged(read(), {key: value})


@pytest.mark.parametrize("kind", ["{ a = 1 }", "[1]"])
def test_a_kind_that_is_no_text_is_refused_before_another_is_chosen(kind: str) -> None:
    text = f"{TEXT}\n[chip]\nkind = {kind}\n"
    assert read_settings(text, "my.toml", ["chip.kind=nodal"]).chip.kind == "nodal"


@given(changes=CHANGES)
@settings(deadline=None, max_examples=30)
def test_overrides_do_what_changes_do(changes: dict[str, Any]) -> None:
    changes.pop("description", None)
    assert read(overrides=[f"{key}={json.dumps(value)}" for key, value in changes.items()]) == merged(read(), changes)


def assert_one_sentence(message: str, start: str, *parts: str) -> None:
    assert "\n" not in message
    assert message.startswith(start + ": "), message
    for part in parts:
        assert part in message, message
    internals = r"pydantic|pathlib|tuple|dictionary|instance|Settings|[Ii]nput should|validation"
    assert not re.search(internals, message), message


@pytest.mark.parametrize(
    ("old", "new", "line", "parts"),
    [
        # a wrong key
        ("batch = 4", "batch = 4\nsede = 1", 27, ["unknown key 'training.sede'; did you mean 'seed'?"]),
        ("batch = 4", "batch = 4\nxyz = 1", 27, ["unknown key 'training.xyz'; known keys here: batch, epochs, seed"]),
        ("batch = 4", "batch = 4\nbeta = 1", 27, ["unknown key 'training.beta'; did you mean 'rule.beta'?"]),
        ("emission = 2", "emision = 2", 15, ["unknown key 'network.diode.emision'; did you mean 'emission'?"]),
        ("[rule]\n", "[chip]\nknd = 1\n[rule]\n", 18, ["unknown key 'chip.knd'; did you mean 'kind'?"]),
        ('name = "small"', 'name = "small"\ntitle = "x"', 2, ["unknown key 'title'; known keys here: chip, data,"]),
        ('"layered"', '"deep-resistive"', 14, ["key 'network.shift' does not go with kind = 'deep-resistive'"]),
        ('"sgd"', '"sgd"\nmomentum = 0.9', 22, ["key 'update.momentum' does not go with kind = 'sgd'"]),
        # a wrong kind of value
        ("epochs = 100", "epochs = 1.5", 25, ["training.epochs = 1.5", "must be a whole number"]),
        ("epochs = 100", 'epochs = "3"', 25, ["training.epochs = '3'", "must be a whole number"]),
        ("epochs = 100", "epochs = true", 25, ["training.epochs = True", "must be a whole number"]),
        ("[10]", "10", 10, ["network.hidden = 10", "must be a list"]),
        ("{ saturation_current", "7 # {", 15, ["network.diode = 7", "must be a section, not a value"]),
        ('name = "small"', "name = 3", 1, ["name = 3", "must be a text in quotes"]),
        ('"xor"', '"csv"\nfile = 3', 5, ["data.file = 3", "must be a text in quotes"]),
        ('["0 V", "4 V"]', '["0 V"]', 6, ["data.targets", "must be a list of 2 values"]),
        ('["0 V", "4 V"]', '["0 V", "1 V", "2 V"]', 6, ["data.targets", "must be a list of 2 values"]),
        ("held_out = 0", "held_out = true", 5, ["data.held_out", "True is no quantity"]),
        ('"1 uS"', "[1]", 18, ["rule.beta", "[1] is no quantity; write a number or a text such as '10 uS'"]),
        ("[6e-3, 3e-3]", '["fast"]', 22, ["update.rates[0]", "'fast' is no quantity"]),
        # a wrong value, with unit and range
        ('"1 uS"', '"-1 uS"', 18, ["rule.beta = '-1 uS'", "must be above 0 S"]),
        ('"1 uS"', '"1 uV"', 18, ["rule.beta", "'1 uV' should be in S"]),
        ('"1 uS"', "nan", 18, ["rule.beta", "nan S is not finite"]),
        ('"10 uS"', '"1 MS"', 11, ["network.g_unit = '1 MS'", "must be above 0 S and at most 1 kS"]),
        ('"100 uS"', '"1 GS"', 12, ["network.g_max = '1 GS'", "must be above 0 S and at most 1 MS"]),
        ('"10 pA"', "2", 15, ["network.diode.saturation_current = 2", "must be above 0 A and at most 1 A"]),
        ("[10]", '[10]\nneuron = "mosfet"', 11, ["network.neuron", "'mosfet' needs a section [network.transistor]"]),
        (
            "[10]",
            '[10]\ntransistor = { threshold = 101, transconductance = "1 mA/V^2" }',
            11,
            ["network.transistor.threshold = 101", "must be at least -100 V and at most 100 V"],
        ),
        (
            "[10]",
            '[10]\ntransistor = { threshold = 1, transconductance = "1 mS" }',
            11,
            ["network.transistor.transconductance", "'1 mS' should be in A/V^2"],
        ),
        ("emission = 2", "emission = 0", 15, ["network.diode.emission = 0", "must be at least 0.01 and at most 100"]),
        ('["4 V", "2 V"]', '["4 V", "-2 V"]', 13, ["network.bias[1] = '-2 V'", "must be at least 0 V"]),
        ("[10]", "[0]", 10, ["network.hidden[0] = 0", "must be at least 1 and at most 100000"]),
        ("epochs = 100", "epochs = 0", 25, ["training.epochs = 0", "must be at least 1 and at most 1000000"]),
        ("held_out = 0", "held_out = 1", 5, ["data.held_out = 1", "must be at least 0 and below 1"]),
        ("[6e-3, 3e-3]", "[-1]", 22, ["update.rates[0] = -1", "must be at least 0"]),
        ("[6e-3, 3e-3]", "[inf]", 22, ["update.rates[0]", "inf is not finite"]),
        ('"sgd"', '"momentum"\nmomentum = 1', 22, ["update.momentum = 1", "must be at least 0 and below 1"]),
        ("[rule]\n", "[chip]\nvntol = 1\n[rule]\n", 18, ["chip.vntol = 1", "must be above 0 V and below 1 mV"]),
        ("[rule]\n", "[chip]\nchunk = 0\n[rule]\n", 18, ["chip.chunk = 0", "must be at least 1 and at most 1024"]),
        ("[rule]\n", "input_gain = inf\n[rule]\n", 17, ["network.input_gain", "inf is not finite"]),
        ('name = "small"', 'name = "a b"', 1, ["name = 'a b'", "letters, digits, _ and -"]),
        ('"xor"', '"minst"', 4, ["data.set = 'minst'", "must be 'digits', 'iris', 'wine', 'xor', 'moons',"]),
        (
            '"layered"',
            '"layred"',
            9,
            ["network.kind = 'layred'", "must be 'layered' or 'convolutional' or 'deep-resistive'"],
        ),
        ('"layered"', "3", 9, ["network.kind = 3", "must be 'layered' or 'convolutional' or 'deep-resistive'"]),
        (
            "[rule]\n",
            '[rule]\nvariant = "odd"\n',
            18,
            ["rule.variant = 'odd'", "'one-sided', 'random-sign' or 'centered'"],
        ),
        # a missing key: the line is its section's
        ("epochs = 100\n", "", 24, ["key 'training.epochs' is missing"]),
        ('g_unit = "10 uS"\n', "", 8, ["key 'network.g_unit' is missing"]),
        ('saturation_current = "10 pA", ', "", 15, ["key 'network.diode.saturation_current' is missing"]),
        ('kind = "sgd"\n', "", 20, ["key 'update.kind' is missing; it must be 'sgd' or 'momentum' or 'adam'"]),
        # values that do not go together
        ('"xor"', '"csv"', 3, ["data.file: set = 'csv' needs a file"]),
        ('"xor"', '"xor"\nfile = "a.csv"', 5, ["data.file: set = 'xor' has no file; only set = 'csv' has one"]),
        ('"xor"', '"xor"\ninputs = ["a"]', 5, ["data.inputs: set = 'xor' has no inputs; only set = 'csv' has one"]),
        (
            '"xor"',
            '"csv"\nfile = "a.csv"\nignore = ["label"]',
            6,
            ["data.ignore: column 'label' is the label to be learned"],
        ),
        (
            '"xor"',
            '"csv"\nfile = "a.csv"\nvalues = ["y"]\ninputs = ["x", "y"]',
            7,
            ["data.inputs: column 'y' is the value to be learned"],
        ),
        ('"xor"', '"csv"\nfile = "a.csv"\ninputs = ["x", "x"]', 6, ["data.inputs: column 'x' is there twice"]),
        (
            '"xor"',
            '"csv"\nfile = "a.csv"\ninputs = ["x"]\nignore = ["y"]',
            7,
            ["data.ignore: inputs says which columns are read; leave one of the two out"],
        ),
        (
            '"xor"',
            '"csv"\nfile = "a.csv"\nvalues = ["y"]\nscaled = false',
            9,
            ["data.targets: scaled = false leaves values as they stand; leave one of the two out"],
        ),
        (
            '"xor"',
            '"csv"\nfile = "a.csv"\nseparator = "ab"',
            6,
            ["data.separator: 'ab' is none; write one character, 'tab' or 'blank'"],
        ),
        ('"xor"', '"csv"\nfile = "a.csv"\nencoding = "utf9"', 6, ["data.encoding = 'utf9'", "'latin-1'"]),
        ('["0 V", "4 V"]', '["4 V", "0 V"]', 6, ["data.targets", "4 V must lie below the right one's 0 V"]),
        ('["-1 V", "0 V"]', '["1 V", "1 V"]', 14, ["network.shift", "1 V must lie below the upper one's 1 V"]),
        ("bias =", 'g_min = "1 mS"\nbias =', 13, ["network.g_min", "1 mS must lie below g_max, 100 µS"]),
        ("bias =", 'g_min = "100 uS"\nbias =', 13, ["network.g_min", "100 µS must lie below g_max, 100 µS"]),
        ('["4 V", "2 V"]', '["4 V"]', 13, ["network.bias", "1 value for 2 crossbars; give one for each, 0 for none"]),
        ("[6e-3, 3e-3]", "[1, 2, 3]", 22, ["update.rates", "3 rates for 2 crossbars; give one for each, or one"]),
        ("[6e-3, 3e-3]", "[]", 22, ["update.rates", "0 rates for 2 crossbars"]),
        (
            "[rule]\n",
            '[rule]\ncost = "softmax-cross-entropy"\nnudging = "spring"\n',
            19,
            ["rule.nudging", "springs are for squared error", "write nudging = 'current'"],
        ),
    ],
)
def test_a_mistake_is_named_by_file_line_key_and_bound(old: str, new: str, line: int, parts: list[str]) -> None:
    assert_one_sentence(complaint(old, new), f"my.toml, line {line}", *parts)


def test_a_missing_section_is_named() -> None:
    assert complaint("[training]\nepochs = 100\nbatch = 4\n", "") == "my.toml: key 'training' is missing"


def test_every_mistake_has_a_line_of_its_own() -> None:
    assert complaint("epochs = 100\nbatch = 4", "epochs = 0\nbach = 4").splitlines() == [
        "my.toml, line 25: training.epochs = 0: must be at least 1 and at most 1000000",
        "my.toml, line 24: key 'training.batch' is missing",
        "my.toml, line 26: unknown key 'training.bach'; did you mean 'batch'?",
    ]


def test_what_is_not_toml_is_refused_with_the_line() -> None:
    assert re.match(r"my\.toml: not valid TOML: .*\(at line 1, ", complaint('name = "small"', 'name = "small'))
    assert re.match(r"my\.toml: not valid TOML: .*\(at line 26, ", complaint("batch = 4", "epochs = 4"))


def test_lines_are_found_however_the_file_is_written() -> None:
    dotted = complaint("[training]\nepochs = 100\nbatch = 4\n", "[ training ]\n  'epochs' = 0\n\tbatch=4\n")
    assert dotted.startswith("my.toml, line 25: training.epochs = 0")
    inside = complaint("epochs = 100", "epochs = 0").replace("line 25", "line 29")
    text = TEXT.replace('"small"', '"small"\ndescription = """\n[training]\nepochs = 3\n"""').replace("= 100", "= 0")
    with pytest.raises(ExperimentError, match=f"^{re.escape(inside)}$"):
        read_settings(text, "my.toml")


@pytest.mark.parametrize(
    ("override", "key", "value"),
    [
        ("training.epochs=3", "training.epochs", 3),
        (" training . epochs = 3 ", "training.epochs", 3),
        ("network.diode.emission=1.5", "network.diode.emission", 1.5),
        ("chip.kind=nodal", "chip.kind", "nodal"),
        ('chip.kind="nodal"', "chip.kind", "nodal"),
        ("chip.kind = 'nodal'", "chip.kind", "nodal"),
        ("rule.beta=2 S", "rule.beta", 2.0),
        ("rule.beta='2 S'", "rule.beta", 2.0),
        ("rule.variant=random-sign", "rule.variant", Variant.RANDOM_SIGN),
        ("update.rates=[0.5, 1]", "update.rates", (0.5, 1.0)),
        ("data.targets=['-1 V', 1]", "data.targets", (-1.0, 1.0)),
        ("description=a = b", "description", "a = b"),
        ("description=", "description", ""),
        ("network.diode={saturation_current='1 nA', emission=3}", "network.diode.emission", 3.0),
    ],
)
def test_overrides_reach_every_key(override: str, key: str, value: object) -> None:
    assert value_at(read(overrides=[override]), key) == value


@pytest.mark.parametrize(
    ("override", "key", "value"),
    [
        ("data.separator=tab", "separator", "\t"),
        (r"data.separator=\t", "separator", "\t"),
        ("data.separator=blank", "separator", " "),
        ("data.separator=;", "separator", ";"),
        ("data.encoding=utf8", "encoding", "utf-8"),
        ("data.encoding=ISO-8859-1", "encoding", "latin-1"),
        ("data.encoding=windows-1252", "encoding", "cp1252"),
    ],
)
def test_separators_and_encodings_go_by_their_usual_names(override: str, key: str, value: str) -> None:
    given = Experiment.load("xor", ["data.set=csv", "data.file=a.csv", override]).settings.data
    assert getattr(given, key) == value


def test_the_last_override_wins() -> None:
    found = read(overrides=["training.seed=1", "training={epochs=2, batch=3}", "training.epochs=4"])
    assert (found.training.epochs, found.training.batch, found.training.seed) == (4, 3, 0)


@pytest.mark.parametrize("override", ["training.epochs", "", "=3", "training.=3", ".epochs=3", "training..epochs=3"])
def test_overrides_of_the_wrong_form_are_refused(override: str) -> None:
    message = complaint(overrides=[override])
    assert message == f"--set {override}: write key=value, such as training.epochs=3"


@pytest.mark.parametrize(
    ("override", "parts"),
    [
        ("training.epochs=0", ["training.epochs = 0", "must be at least 1"]),
        ("training.epocs=3", ["unknown key 'training.epocs'; did you mean 'epochs'?"]),
        ("epochs=3", ["unknown key 'epochs'; did you mean 'training.epochs'?"]),
        ("rule.beta=1 V", ["rule.beta", "'1 V' should be in S"]),
        ("update.rates=0.1", ["update.rates = 0.1", "must be a list"]),
        ("network.hidden=[4, 5", ["network.hidden = '[4, 5'", "must be a list"]),
        ("training=5", ["training = 5", "must be a section, not a value"]),
        ("data.set.foo=3", ["data.set is a value, not a section"]),
        ("update.rates.0=3", ["update.rates is a value, not a section"]),
        ("network.g_min=1 S", ["network.g_min", "1 S must lie below g_max, 100 µS"]),
        ("training={epochs=0, batch=1}", ["training.epochs = 0", "must be at least 1"]),
        ("training.seed=9223372036854775808", ["training.seed", "a whole number is beyond 64 bits"]),
    ],
)
def test_a_mistake_in_an_override_names_it_and_no_line(override: str, parts: list[str]) -> None:
    """The line of the file holds another value, which is right."""
    assert_one_sentence(complaint(overrides=[override]), f"--set {override}", *parts)


def test_a_mistake_that_an_override_only_brings_to_light_names_the_line() -> None:
    message = complaint(overrides=["network.hidden=[4, 5]"])
    assert_one_sentence(message, "my.toml, line 13", "network.bias: 2 values for 3 crossbars")


def test_a_relative_data_file_starts_where_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a file: beside the file; on the command line: in the working directory. Both are absolute from then on."""
    folder, here = tmp_path / "experiments", tmp_path / "here"
    folder.mkdir()
    here.mkdir()
    monkeypatch.chdir(here)
    path = folder / "mine.toml"
    path.write_text(TEXT.replace('"xor"', '"csv"\nfile = "sub/rows.csv"'))
    assert Experiment.load(str(path)).settings.data.file == folder / "sub" / "rows.csv"
    assert Experiment.load("../experiments/mine.toml").settings.data.file == folder / "sub" / "rows.csv"
    for override in ("data.file=rows.csv", "data={set='csv', file='rows.csv'}"):
        assert Experiment.load(str(path), [override]).settings.data.file == here / "rows.csv"
    assert Experiment.load("xor", ["data.set=csv", "data.file=rows.csv"]).settings.data.file == here / "rows.csv"
    assert (
        Experiment.load("xor").replace({"data.set": "csv", "data.file": "x.csv"}).settings.data.file == here / "x.csv"
    )
    path.write_text(TEXT.replace('"xor"', f'"csv"\nfile = "{here}/rows.csv"'))
    assert Experiment.load(str(path), ["training.epochs=1"]).settings.data.file == here / "rows.csv"


def test_a_recorded_data_file_is_found_from_anywhere(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    path = tmp_path / "mine.toml"
    path.write_text(TEXT.replace('"xor"', '"csv"\nfile = "rows.csv"').replace("held_out = 0", "held_out = 0.5"))
    (tmp_path / "rows.csv").write_text("a,label\n" + "".join(f"{i},{i % 2}\n" for i in range(8)))
    recorded = tmp_path / "elsewhere" / "experiment.toml"
    recorded.write_text(Experiment.load(str(path)).settings.to_toml())
    again = Experiment.load(str(recorded))
    assert again.settings == Experiment.load(str(path)).settings
    assert len(again.data.train) == len(again.data.test) == 4


def test_an_experiment_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(ExperimentError, match=r"^there is no experiment 'no-such'; there are .*digits.*iris.*xor"):
        Experiment.load("no-such")


def test_an_experiment_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "binary.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ExperimentError, match=r"binary\.toml, line 1: it is not UTF-8 text \(byte 0xff\)"):
        Experiment.load(str(path))


def test_a_file_of_ones_own_is_named_by_its_path(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(TEXT.replace("epochs = 100", "epochs = 0"))
    with pytest.raises(ExperimentError, match=rf"^{re.escape(str(path))}, line 25: training\.epochs = 0: must be"):
        Experiment.load(str(path))


@pytest.mark.parametrize("overrides", ["rule.beta=1uS", {"rule.beta": "1uS"}])
def test_overrides_that_are_no_list_are_told_apart_from_a_wrong_override(overrides: Any) -> None:
    with pytest.raises(ExperimentError, match=r"^overrides: .*rule\.beta.* must be a list of texts, such as \["):
        Experiment.load("iris", overrides)


def test_changed_settings_are_checked_again() -> None:
    with pytest.raises(ExperimentError, match=r"^experiment: training\.epochs = 0: must be at least 1"):
        merged(read(), {"training.epochs": 0})
    with pytest.raises(ExperimentError, match=r"unknown key 'training\.epocs'; did you mean 'epochs'\?"):
        merged(read(), {"training.epocs": 3})
    with pytest.raises(ExperimentError, match=r"^name\.first = 3: name is a value, not a section"):
        merged(read(), {"name.first": 3})


def test_changing_settings_leaves_the_old_ones_alone() -> None:
    before = read()
    assert merged(before, {"training.epochs": 7}).training.epochs == 7
    assert before == read()


def test_another_kind_of_rule_keeps_the_keys_that_both_have() -> None:
    text = TEXT.replace('beta = "1 uS"', 'beta = "1 uS"\nvariant = "random-sign"\nnudging = "spring"')
    found = read_settings(text, "my.toml", ["rule.kind=coupled-learning", "rule.eta=0.5"])
    assert found.rule == CoupledSettings(kind="coupled-learning", eta=0.5, variant=Variant.RANDOM_SIGN)
    changed = merged(read_settings(text, "my.toml"), {"rule.kind": "analytical-gradient"})
    assert changed.rule == AnalyticalSettings(kind="analytical-gradient")
    wrong = text.replace("variant", "varaint")
    with pytest.raises(ExperimentError, match=r"unknown key 'rule.varaint'; did you mean 'variant'\?"):
        read_settings(wrong, "my.toml", ["rule.kind=coupled-learning"])


def test_a_file_that_is_a_link_to_itself_is_refused_where_it_is_read(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").symlink_to("rows.csv")
    subject = Experiment(read('"xor"', '"csv"\nfile = "rows.csv"\nlabel = "kind"', folder=tmp_path))
    with pytest.raises(DataError, match=r"rows.csv: it cannot be read \(too many levels of symbolic links\)"):
        _ = subject.data
