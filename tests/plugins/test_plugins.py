"""Plug-ins of an installed package, from experiment files through the command line, and what goes wrong with them."""

import importlib
import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click.testing
import pytest
from click.testing import CliRunner

import harness
from harness import Experiment, Run
from harness.chip.nodal.chip import NodalChip
from harness.cli.main import main
from harness.errors import ExperimentError, PluginError, RunError
from harness.plugins import Kind, find, installed
from harness.studies.sweep.directory import Sweep
from harness.studies.sweep.points import grid

EXAMPLE = Path(__file__).parent / "mylab"
TEXT = """
name = "small"
[data]
set = "xor"
held_out = 0
[network]
kind = "layered"
hidden = [4]
g_unit = "10 uS"
g_max = "100 uS"
bias = ["1 V", "1 V"]
diode = { saturation_current = "10 pA" }
[rule]
beta = "50 nS"
[update]
kind = "sgd"
rates = [1e-2]
[training]
epochs = 2
batch = 4
[chip]
kind = "nodal"
"""


class Site:
    """A folder as pip fills one, with a package in it."""

    def __init__(self, folder: Path, source: Path) -> None:
        self.folder, self._about = folder, tomllib.loads((source / "pyproject.toml").read_text())["project"]
        self.package = self._about["entry-points"]["harness.chips"]["mylab"].partition(".")[0]
        shutil.copytree(source / self.package, folder / self.package)
        self.install(self._about["version"])

    @property
    def _info(self) -> Path:
        return self.folder / f"{self._about['name'].replace('-', '_')}.dist-info"

    def install(self, version: str, more: dict[str, dict[str, str]] | None = None) -> None:
        """Write what pip writes of a package."""
        self._info.mkdir(exist_ok=True)
        metadata = f"Metadata-Version: 2.1\nName: {self._about['name']}\nVersion: {version}\n"
        (self._info / "METADATA").write_text(metadata)
        groups = {name: {**each, **(more or {}).get(name, {})} for name, each in self._about["entry-points"].items()}
        lines = [
            line for group, each in groups.items() for line in (f"[{group}]", *(f"{k} = {v}" for k, v in each.items()))
        ]
        (self._info / "entry_points.txt").write_text("\n".join(lines))
        importlib.invalidate_caches()

    def uninstall(self) -> None:
        """As pip does."""
        shutil.rmtree(self._info)
        importlib.invalidate_caches()

    def write(self, module: str, text: str) -> None:
        """A module of the package."""
        (self.folder / self.package / f"{module}.py").write_text(text)
        importlib.invalidate_caches()


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    folder = tmp_path / "site"
    folder.mkdir()
    made = Site(folder, EXAMPLE)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.chdir(tmp_path)
    yield made
    for name in [name for name in sys.modules if name.partition(".")[0] == made.package]:
        del sys.modules[name]


def run(*words: str) -> click.testing.Result:
    return CliRunner().invoke(main, words)


def sentence(*words: str, code: int = 1) -> str:
    """What a command that fails says, which must be one line."""
    result = run(*words)
    assert result.exit_code == code, result.output
    *_, said = result.stderr.splitlines()
    assert said.startswith("harness: "), result.stderr
    return str(said)


def experiment(tmp_path: Path, *changes: tuple[str, str]) -> str:
    """An experiment file with pieces of its text exchanged."""
    text = TEXT
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    (tmp_path / "small.toml").write_text(text)
    return "small.toml"


def begun(folder: Path, *changes: tuple[str, str]) -> Run:
    """A run that was stopped after its first step."""
    subject = Experiment.from_file(Path(experiment(folder.parent, *changes)))
    run = subject.create_run(folder)
    assert subject.train(run, stop=lambda: True, pictures=False) is None
    return run


def steps(folder: Path) -> bytes:
    """What a run did step by step, and what it reached."""
    return (folder / "steps.csv").read_bytes() + (folder / "conductances.npz").read_bytes()


CHIP = ('kind = "nodal"', 'kind = "mylab"\noptions = { gain = 0.9, offset = "10 mV" }')
RULE = ('beta = "50 nS"', 'kind = "limited-contrast"\noptions = { strength = "1 uS" }')
COST = ('beta = "50 nS"', 'beta = "50 nS"\ncost = "huber"\ncost_options = { limit = "200 mV" }')
DATA = ('set = "xor"', 'set = "rings"\noptions = { rows = 12 }')
SHUNTS = ("[chip]", '[variation.plugins.shunts]\nconductance = "5 uS"\n[chip]')
NOISE = ("[chip]", '[variation.plugins.readout-noise]\nsigma = "1 mV"\n[chip]')
EACH = pytest.mark.parametrize(
    ("change", "what", "name"),
    [
        (CHIP, "chip", "mylab"),
        (RULE, "learning rule", "limited-contrast"),
        (COST, "cost", "huber"),
        (DATA, "data set", "rings"),
        (SHUNTS, "non-ideality", "shunts"),
        (NOISE, "non-ideality", "readout-noise"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)


@EACH
def test_each_trains_resumes_evaluates_and_is_missed_when_it_is_gone(
    change: tuple[str, str], what: str, name: str, site: Site, tmp_path: Path
) -> None:
    assert run("train", experiment(tmp_path, change), "--run", "whole").exit_code == 0
    recorded = json.loads((tmp_path / "whole/manifest.json").read_text())
    kind = next(kind for kind in Kind if kind.words == what)
    assert recorded["plugins"] == [
        {"kind": kind.value, "name": name, "distribution": "mylab-harness", "version": "1.2"}
    ]
    assert "own" not in recorded

    half, plain = (begun(tmp_path / name, *each) for name, each in (("half", [change]), ("plain", [])))
    for begin in (half, plain):
        Experiment.of_run(begin).train(begin, pictures=False)
    assert steps(tmp_path / "half") == steps(tmp_path / "whole") != steps(tmp_path / "plain")
    found = run("evaluate", "whole", "--json")
    assert found.exit_code == 0, found.output

    site.uninstall()
    missing = (
        f"it was made with the {what} {name!r} of mylab-harness 1.2, which is not installed; "
        "install it with: pip install 'mylab-harness==1.2'"
    )
    for words in (["train", "--resume", "half"], ["evaluate", "whole"]):
        assert missing in sentence(*words)
    told = sentence("train", experiment(tmp_path, change), code=2)
    assert f"{name!r}: must be " in told or "no installed package offers a non-ideality" in told


def test_a_run_goes_on_with_another_version_and_says_so(site: Site, tmp_path: Path) -> None:
    begun(tmp_path / "half", CHIP, RULE)
    site.install("1.3")
    source = (EXAMPLE / "mylab/rules.py").read_text()
    site.write("rules", source.replace("limit: Annotated", "fresh: bool = True\n        limit: Annotated"))
    for name in [name for name in sys.modules if name.startswith("mylab")]:
        del sys.modules[name]
    result = run("train", "--resume", "half")
    assert result.exit_code == 0, result.stderr
    assert "since this run began, mylab-harness 1.2 is now 1.3; its bits may differ" in result.stderr


def test_only_the_plug_in_that_is_named_is_loaded(site: Site, tmp_path: Path) -> None:
    site.install("1.2", {"harness.chips": {"trap": "mylab.trap:chip"}})
    site.write("trap", "raise SystemExit('a stranger was let in')")
    begun(tmp_path / "run", CHIP)
    assert {name for name in sys.modules if name.startswith("mylab")} == {"mylab", "mylab.chips"}
    listed = run("list")
    assert listed.exit_code == 0
    assert "trap" in listed.stdout
    assert "mylab.rules" not in sys.modules
    told = sentence("train", experiment(tmp_path, ('"nodal"', '"trap"')))
    assert "chip 'trap' of mylab-harness 1.2 cannot be loaded: SystemExit: a stranger was let in" in told


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (
            "mylap",
            "chip.kind = 'mylap': must be 'ngspice', 'nodal', 'bench' or 'mylab' (plug-ins: 'mylab' of mylab-harness "
            "1.2)",
        ),
        ("mylab.chips:board", "must be 'ngspice', 'nodal', 'bench' or 'mylab'"),
        ("os:system", "must be 'ngspice', 'nodal', 'bench' or 'mylab'"),
        ("../mylab", "must be 'ngspice', 'nodal', 'bench' or 'mylab'"),
        ("", "must be 'ngspice', 'nodal', 'bench' or 'mylab'"),
    ],
)
def test_a_file_names_a_plug_in_and_never_a_module(value: str, said: str, site: Site, tmp_path: Path) -> None:
    told = sentence("train", experiment(tmp_path, ('"nodal"', f'"{value}"')), code=2)
    assert said in told
    assert "small.toml, line 22" in told
    assert not [name for name in sys.modules if name.startswith("mylab")]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            (CHIP[0], 'kind = "mylab"\noptions = { gain = 3 }'),
            "line 23: chip.options.gain = 3: must be above 0 and at most 2 (",
        ),
        (
            (CHIP[0], 'kind = "mylab"\n[chip.options]\ngian = 1'),
            "line 24: unknown key 'chip.options.gian'; did you mean 'gain'?",
        ),
        ((CHIP[0], 'kind = "mylab"\noptions = { offset = "1 S" }'), "chip.options.offset: '1 S' should be in V"),
        ((CHIP[0], 'kind = "mylab"\noptions = 3'), "chip.options = 3: must be a section, not a value"),
        (
            (CHIP[0], 'kind = "nodal"\noptions = { gain = 3 }'),
            "chip.options: kind = 'nodal' takes none; options are for plug-ins",
        ),
        ((RULE[0], 'kind = "limited-contrast"'), "key 'rule.options.strength' is missing"),
        (
            (RULE[0], 'kind = "limited-contrst"\nbeta = 1'),
            "rule.kind = 'limited-contrst': must be 'equilibrium-propagation', ",
        ),
        (
            (COST[0], 'cost = "hubr"'),
            "must be 'squared-error', 'softmax-cross-entropy' or 'huber' (plug-ins: 'huber' of",
        ),
        ((SHUNTS[0], "[variation.plugins.shunt]\n[chip]"), "did you mean 'shunts'?"),
        (
            (SHUNTS[0], "[variation.plugins.shunts]\nconductance = -1\n[chip]"),
            "variation.plugins.shunts.conductance = -1: must be at least 0 S",
        ),
        ((DATA[0], 'set = "ring"'), "or 'rings' (plug-ins: 'rings' of mylab-harness 1.2); did you mean 'rings'?"),
    ],
)
def test_wrong_names_and_options_are_told_with_their_line(
    change: tuple[str, str], said: str, site: Site, tmp_path: Path
) -> None:
    assert said in sentence("train", experiment(tmp_path, change), code=2)


def test_a_data_set_without_a_model_of_its_options_looks_at_them_itself(site: Site, tmp_path: Path) -> None:
    told = sentence("train", experiment(tmp_path, (DATA[0], 'set = "rings"\noptions = { row = 3 }')))
    assert "data set 'rings' of mylab-harness 1.2 cannot be built: ValueError: there is no option 'row'" in told


FAULTY = {
    "import": ("import no_such_module", "cannot be loaded: ModuleNotFoundError: No module named 'no_such_module'"),
    "syntax": ("this is no Python", "cannot be loaded: SyntaxError"),
    "nothing": ("other = 1", "cannot be loaded: AttributeError"),
    "unbuilt": ("thing = 1", "is of type int, which has no function build"),
    "text": (
        "class thing:\n  build = staticmethod(lambda *_: 'x')",
        "makes a str, which lacks circuit, capabilities, conductances, ",
    ),
    "none": ("class thing:\n  build = staticmethod(lambda *_: None)", "makes a NoneType, which lacks circuit"),
    "few": ("class thing:\n  build = staticmethod(lambda options: 1)", "cannot be built: TypeError"),
    "options": (
        "class thing:\n  Options = 3\n  build = staticmethod(lambda *_: 1)",
        "Options are no class of pydantic's",
    ),
    "exits": ("class thing:\n  def build(*_): raise SystemExit(0)", "cannot be built: SystemExit: 0"),
    "late": (
        "from harness.chip.nodal.chip import NodalChip\n"
        "class Late(NodalChip):\n  def measure(self, drives):\n    return 1 / 0\n"
        "class thing:\n  build = staticmethod(lambda options, circuit, request: Late(circuit))",
        "failed in faulty.py, line 4: ZeroDivisionError: division by zero",
    ),
}


@pytest.mark.parametrize("name", FAULTY)
def test_a_faulty_chip_is_one_sentence_that_names_it(name: str, site: Site, tmp_path: Path) -> None:
    text, said = FAULTY[name]
    site.install("1.2", {"harness.chips": {"faulty": "mylab.faulty:thing"}})
    site.write("faulty", text)
    told = sentence("train", experiment(tmp_path, ('"nodal"', '"faulty"')))
    assert "chip 'faulty' of mylab-harness 1.2" in told
    assert said in told


@pytest.mark.parametrize(
    ("change", "module", "text", "said"),
    [
        (
            CHIP,
            "chips",
            "from harness.chip.nodal.chip import NodalChip\n"
            "from harness.measurement import Reading\n"
            "class Blind(NodalChip):\n"
            "  def _settle(self, drives):\n"
            "    return tuple(Reading(r.outputs * NAN, r.volts) for r in super()._settle(drives))\n"
            "class board:\n  build = staticmethod(lambda options, circuit, request: Blind(circuit))",
            "chip 'mylab' of mylab-harness 1.2: the chip reads nan V at output 0, which is not finite",
        ),
        (
            COST,
            "costs",
            "class Blind:\n"
            "  def values(self, outputs, targets): return outputs[:, 0] * NAN\n"
            "  def slopes(self, outputs, targets): return outputs - targets\n"
            "  def score(self, outputs, targets): return 1.0\n"
            "class huber:\n  build = staticmethod(lambda *_: Blind())",
            "cost 'huber' of mylab-harness 1.2: the cost of the chip's outputs, of up to 2.18 V, is nan V²",
        ),
        (
            COST,
            "costs",
            "class Steep:\n"
            "  def values(self, outputs, targets): return outputs[:, 0]\n"
            "  def slopes(self, outputs, targets): return outputs * NAN\n"
            "  def score(self, outputs, targets): return 1.0\n"
            "class huber:\n  build = staticmethod(lambda *_: Steep())",
            "cost 'huber' of mylab-harness 1.2: nudged +β phase: nudging currents: sample 0, column 0 is nan",
        ),
        (
            RULE,
            "rules",
            "from harness.learning import FiniteDifferences\n"
            "class Lost(FiniteDifferences):\n"
            "  def gradient(self, readings): return [NAN * one for one in super().gradient(readings)]\n"
            "class limited_contrast:\n"
            "  build = staticmethod(lambda options, given: Lost(given.circuit, given.cost, step=1e-8))",
            "learning rule 'limited-contrast' of mylab-harness 1.2: crossbar w1: a wanted change is not finite",
        ),
        (
            NOISE,
            "nonidealities",
            "from harness.chip.imperfect.wrapped import WrappedChip\n"
            "from harness.measurement import Reading\n"
            "class Blind(WrappedChip):\n"
            "  def measure(self, drives):\n"
            "    return tuple(Reading(r.outputs * NAN, r.volts) for r in super().measure(drives))\n"
            "class Noise:\n  wrap = staticmethod(lambda chip, seed: Blind(chip))\n"
            "class readout_noise:\n  build = staticmethod(lambda options: Noise())",
            "non-ideality 'readout-noise' of mylab-harness 1.2: the chip reads nan V at output 0",
        ),
    ],
    ids=["chip", "cost", "slopes", "rule", "non-ideality"],
)
def test_what_is_not_finite_ends_a_training_before_anything_is_written(
    change: tuple[str, str], module: str, text: str, said: str, site: Site, tmp_path: Path
) -> None:
    site.write(module, 'NAN = float("nan")\n' + text)
    told = sentence("train", experiment(tmp_path, change), "--run", "blind")
    assert told.startswith(f"harness: {said}")
    assert not (tmp_path / "blind/steps.csv").exists()


@pytest.mark.parametrize(
    ("group", "text", "change", "said"),
    [
        (
            "costs",
            "class C:\n  values = slopes = score = lambda self, o, t: 1.0",
            COST,
            "gives values of shape () instead of (2,)",
        ),
        ("costs", "C = object", COST, "makes a object, which lacks values, slopes, score"),
        ("rules", "class C:\n  measure = None", RULE, "makes a C, which lacks needs, gradient"),
        ("datasets", "C = dict", DATA, "makes a dict, which lacks features, labels, classes"),
        ("variations", "C = object", SHUNTS, "makes a object, which has neither apply nor wrap"),
        (
            "variations",
            "class C:\n  apply = lambda self, circuit, rng: None",
            SHUNTS,
            "returns a NoneType instead of a Circuit",
        ),
        (
            "variations",
            "class C:\n  def apply(_, drawn, rng): return drawn.with_conductances([g / 2 for g in drawn.conductances])",
            SHUNTS,
            "changes cells, which are programmed later; let it wrap the chip instead",
        ),
        (
            "variations",
            "class C:\n  wrap = lambda self, chip, seed: None",
            SHUNTS,
            "makes a NoneType, which lacks circuit",
        ),
    ],
)
def test_what_is_no_such_thing_is_one_sentence(
    group: str, text: str, change: tuple[str, str], said: str, site: Site, tmp_path: Path
) -> None:
    site.install("1.2", {f"harness.{group}": {"faulty": "mylab.faulty:thing"}})
    site.write("faulty", f"{text}\nclass thing:\n  build = staticmethod(lambda *_: C())")
    names = {"costs": "huber", "rules": "limited-contrast", "datasets": "rings", "variations": "shunts"}
    told = sentence("train", experiment(tmp_path, (change[0], change[1].replace(names[group], "faulty"))))
    assert "'faulty' of mylab-harness 1.2" in told
    assert said in told


def test_a_plug_in_under_the_name_of_a_built_in_is_listed_as_hidden(site: Site, tmp_path: Path) -> None:
    names = {"chips": "nodal", "rules": "equilibrium-propagation", "costs": "squared-error", "datasets": "iris"}
    site.install("1.2", {f"harness.{group}": {name: "mylab.trap:thing"} for group, name in names.items()})
    begun(tmp_path / "run")
    listed = json.loads(run("list", "--json").stdout)["plugins"]
    assert {row["name"] for row in listed if row["hidden"]} == set(names.values())
    assert {row["name"] for row in listed if not row["hidden"]} >= {"mylab", "limited-contrast", "huber", "rings"}
    said = [line for line in run("list").stdout.splitlines() if " is hidden by the built-in " in line]
    assert said[0] == "chip 'nodal' of mylab-harness 1.2 is hidden by the built-in chip of that name"
    assert len(said) == len(names)


def test_two_packages_that_offer_one_name_are_refused(site: Site, tmp_path: Path) -> None:
    other = site.folder / "other_lab.dist-info"
    other.mkdir()
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: other-lab\nVersion: 3\n")
    (other / "entry_points.txt").write_text("[harness.chips]\nmylab = other:chip\n")
    importlib.invalidate_caches()
    told = sentence("train", experiment(tmp_path, CHIP), code=2)
    assert "both offer this name; uninstall one of them" in told
    assert "mylab-harness 1.2" in told
    assert "other-lab 3" in told


def test_another_package_under_the_same_name_does_not_take_over_a_run(site: Site, tmp_path: Path) -> None:
    begun(tmp_path / "run", CHIP)
    text = (site.folder / "mylab_harness.dist-info/METADATA").read_text()
    (site.folder / "mylab_harness.dist-info/METADATA").write_text(text.replace("mylab-harness", "impostor"))
    importlib.invalidate_caches()
    told = sentence("evaluate", "run")
    assert "of mylab-harness 1.2, which is not installed (here impostor 1.2 offers the name); install it with" in told


def test_a_sweep_is_resumed_only_with_its_plug_ins(site: Site, tmp_path: Path) -> None:
    points = grid(experiment(tmp_path, CHIP), {"chip.options.gain": [0.8, 1.0]})
    Sweep.create(tmp_path / "swept", points)
    site.uninstall()
    assert "sweep swept: it was made with the chip 'mylab' of mylab-harness 1.2, which is not installed" in sentence(
        "sweep", "--resume", "swept"
    )


def test_overrides_name_plug_ins_and_leave_options_behind(site: Site, tmp_path: Path) -> None:
    file = experiment(tmp_path, CHIP)
    subject = Experiment.load(file, ["chip.kind=nodal"])
    assert subject.settings.chip.options is None
    assert subject.replace({"chip.kind": "mylab"}).settings.chip.options == {"gain": 1.0, "offset": 0.0}
    later = Experiment.load("xor", ["chip.options.gain=0.5", "chip.kind=mylab"])
    assert later.settings.chip.options == {"gain": 0.5, "offset": 0.0}
    assert run("train", file, "--chip", "nodal", "--run", "nodal").exit_code == 0
    assert run("evaluate", "nodal", "--chip", "mylab").exit_code == 0
    assert "'mylib' must be 'ngspice', 'nodal', 'bench' or 'mylab'" in run("train", file, "--chip", "mylib").stderr


def test_what_a_run_with_plug_ins_was_made_with_is_compared(site: Site, tmp_path: Path) -> None:
    begun(tmp_path / "run", CHIP, COST, SHUNTS)
    text = (tmp_path / "run/experiment.toml").read_text()
    (tmp_path / "run/experiment.toml").write_text(text.replace("gain = 0.9", "gain = 0.8"))
    assert "chip.options.gain is 0.8, but the run was made with 0.9" in sentence("evaluate", "run")


def test_strength_zero_is_the_ideal_chip_bit_for_bit(site: Site, tmp_path: Path) -> None:
    zero = ("[chip]", "[variation.plugins]\nshunts = { conductance = 0 }\nreadout-noise = { sigma = 0 }\n[chip]")
    runs = [begun(tmp_path / name, *each) for name, each in (("zero", [zero]), ("plain", []))]
    tables = [(run.path / "steps.csv").read_bytes() for run in runs]
    assert tables[0] == tables[1]


def test_python_code_registers_what_no_package_offers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Mine:
        def build(self, options: dict[str, object], circuit: object, request: object) -> NodalChip:
            return NodalChip(circuit)  # type: ignore[arg-type]

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("harness.plugins._REGISTERED", {})
    harness.register("chips", "mine", Mine())
    subject = Experiment.load("xor", ["chip.kind=mine", "training.epochs=1"])
    made = subject.create_run(tmp_path / "run")
    assert subject.train(made, pictures=False)
    assert made.manifest["plugins"] == [{"kind": "chips", "name": "mine", "distribution": None, "version": None}]
    assert Experiment.of_run(Run(tmp_path / "run")).settings.chip.kind == "mine"
    monkeypatch.setattr("harness.plugins._REGISTERED", {})
    with pytest.raises(RunError, match=r"the chip 'mine', which a Python program had registered; open it there, after"):
        Experiment.of_run(Run(tmp_path / "run"))
    harness.register("chips", "nodal", Mine())
    with pytest.raises(ExperimentError, match=r"chip.kind = 'nodal': is a name of the harness's own, too; register"):
        Experiment.load("xor", ["chip.kind=nodal"])
    with pytest.raises(ExperimentError, match="no kind of plug-in is called 'chip'; did you mean 'chips'"):
        harness.register("chip", "mine", Mine())
    with pytest.raises(PluginError, match=r"^chip 'mine' of this Python program is of type int, which has no function"):
        harness.register("chips", "mine", 3)


def test_the_command_itself_finds_what_is_installed(site: Site, tmp_path: Path) -> None:
    file = experiment(tmp_path, CHIP)
    words = [sys.executable, "-P", "-m", "harness", "train", file, "--run", "run", "--json"]
    found = subprocess.run(
        words, env={**os.environ, "PYTHONPATH": str(site.folder)}, capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stderr
    assert "2 epochs, mylab" in found.stderr
    refused = subprocess.run(words, capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert "chip.kind = 'mylab': must be 'ngspice', 'nodal' or 'bench'" in refused.stderr


def test_nothing_is_loaded_to_list_what_is_there(site: Site) -> None:
    found = {kind: [plugin.name for plugin in installed(kind)] for kind in Kind}
    assert found[Kind.NON_IDEALITY] == ["readout-noise", "shunts"]
    assert str(find(Kind.COST, "huber")) == "cost 'huber' of mylab-harness 1.2"
    assert not [name for name in sys.modules if name.startswith("mylab")]
