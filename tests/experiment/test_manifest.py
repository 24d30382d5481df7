"""What a run records of itself: edited runs, changed data and parts of one's own are found."""

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from harness import Experiment, Run
from harness.cli.main import main
from harness.datasets import Split
from harness.errors import DataError, ExperimentError, RunError
from harness.experiment.runs.warm_start import warm_start
from harness.learning import GeneralizedEquilibriumPropagation, SquaredError
from harness.measurement import Injection
from harness.training.controller import Plan, train
from harness.training.position import npz

TOML = """
name = "small"
data = { set = "csv", file = "rows.csv", held_out = 0.3, targets = ["0 V", "4 V"] }
rule = { beta = "100 nS", variant = "centered" }
update = { kind = "adam", rates = [5e-3], decay = 0.9 }
training = { epochs = 2, batch = 10 }
chip = { kind = "nodal" }
[network]
kind = "layered"
hidden = [3]
g_unit = "10 uS"
g_max = "100 uS"
diode = { saturation_current = "10 pA" }
"""


def write_rows(file: Path, seed: int = 0) -> None:
    rng = np.random.default_rng(seed)
    rows = [f"{a!r},{b!r},{'red' if a > b else 'blue'}" for a, b in rng.uniform(-1, 1, (40, 2)).tolist()]
    file.write_text("a,b,label\n" + "\n".join(rows) + "\n")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an experiment, its rows and a trained run."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "small.toml").write_text(TOML)
    write_rows(folder / "rows.csv")
    experiment = Experiment.load(str(folder / "small.toml"))
    experiment.train(experiment.create_run(folder / "run"), pictures=False)
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, and the working directory."""
    copied = tmp_path / "here"
    shutil.copytree(made, copied)
    manifest = copied / "run" / "manifest.json"
    for file in (manifest, copied / "run" / "experiment.toml"):
        file.write_text(file.read_text().replace(str(made), str(copied)))
    monkeypatch.chdir(copied)
    return copied


def edit(file: Path, pattern: str, replacement: str) -> None:
    text, count = re.subn(pattern, replacement, file.read_text(), count=1, flags=re.MULTILINE)
    assert count == 1
    file.write_text(text)


def complaint(*arguments: str) -> str:
    """The one sentence with which a command refuses."""
    result = CliRunner().invoke(main, list(arguments))
    assert result.exit_code in (1, 2), result.output
    assert isinstance(result.exception, SystemExit), result.exception
    (line,) = result.stderr.strip().splitlines()
    return line


READING = {
    "evaluate": ["evaluate", "run"],
    "resume": ["train", "--resume", "run"],
    "from": ["train", "--from", "run"],
    "export": ["export", "run", "--to", "netlist"],
    "report": ["report", "run"],
    "check": ["check", "run"],
    "audit": ["audit", "run"],
    "transient": ["transient", "run"],
    "show": ["show", "run", "--to", "run.png"],
    "benchmark": ["benchmark", "run"],
    "conductances export": ["conductances", "export", "run", "--to", "cells.csv"],
    "conductances import": ["conductances", "import", "run", "cells.csv"],
    "program": ["program", "run", "--device", "yakopcic", "--to", "written"],
    "sweep": ["sweep", "run", "--deploy", "--chips", "2"],
}


@pytest.mark.parametrize("command", READING)
def test_every_command_refuses_an_edited_run_and_writes_nothing(folder: Path, command: str) -> None:
    edit(folder / "run" / "experiment.toml", r"^amplifier_gain = 4\.0", "amplifier_gain = 2.0")
    before = sorted(folder.rglob("*"))
    assert "network.amplifier_gain is 2.0, but the run was made with 4.0" in complaint(*READING[command])
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize("command", READING)
def test_every_command_refuses_changed_data(folder: Path, command: str) -> None:
    write_rows(folder / "rows.csv", seed=1)
    assert "its data are not those that it was made with" in complaint(*READING[command])


@pytest.mark.parametrize("name", ["manifest.json", "experiment.toml", "checkpoint.npz", "steps.csv"])
def test_a_pipe_in_place_of_a_file_of_a_run_is_a_sentence(folder: Path, name: str) -> None:
    """Reading it would wait for a writer without end."""
    (folder / "run" / name).unlink()
    os.mkfifo(folder / "run" / name)
    assert f"{name}: it is a named pipe, not a plain file" in complaint("train", "--resume", "run")


@pytest.mark.parametrize(
    ("pattern", "replacement", "told"),
    [
        (r"^beta = 1e-07", "beta = 2e-7", "rule.beta is 200 nS, but the run was made with 100 nS"),
        (r"^epochs = 2", "epochs = 3", "training.epochs is 3, but the run was made with 2"),
        (r"^batch = 10", "batch = 5", "training.batch is 5, but the run was made with 10"),
        (r"^seed = 0", "seed = 1", "training.seed is 1, but the run was made with 0"),
        (r"^held_out = 0\.3", "held_out = 0.4", "data.held_out is 0.4, but the run was made with 0.3"),
        (r"^reltol = \S+", "reltol = 1e-5", "chip.reltol is 1e-05, but the run was made with 1e-06"),
        (r"^spread = 0\.0", "spread = 0.1", "variation.spread is 0.1, but the run was made with 0.0"),
        (r"^name = .small.", 'name = "other"', "name is 'other', but the run was made with 'small'"),
        (r"^hidden = \[\n\s*3,", "hidden = [\n 4,", r"network.hidden is [4], but the run was made with [3]"),
        (r"^\[chip\]", "[subset]\nchoose = 'largest'\n[chip]", "subset.choose is 'largest', but the run was made with"),
    ],
)
def test_the_key_that_was_edited_is_named_with_both_values(
    folder: Path, pattern: str, replacement: str, told: str
) -> None:
    edit(folder / "run" / "experiment.toml", pattern, replacement)
    with pytest.raises(RunError, match=re.escape(told)):
        Experiment.of_run(Run(folder / "run"))


def test_comments_and_other_ways_to_write_a_value_are_no_edit(folder: Path) -> None:
    edit(folder / "run" / "experiment.toml", r"^beta = 1e-07", '# as always\nbeta = "100 nS"')
    assert Experiment.of_run(Run(folder / "run")).settings.rule.beta == 1e-7  # type: ignore[union-attr]


def test_rows_that_were_moved_are_the_same_rows(folder: Path) -> None:
    (folder / "rows.csv").rename(folder / "moved.csv")
    with pytest.raises(DataError, match=r"rows\.csv"):
        Experiment.of_run(Run(folder / "run"))
    edit(folder / "run" / "experiment.toml", r"rows\.csv", "moved.csv")
    Experiment.of_run(Run(folder / "run"))
    edit(folder / "run" / "experiment.toml", r"moved\.csv", "rows.csv")
    Experiment.of_run(Run(folder / "run"), ["data.file=moved.csv"])


def test_a_file_of_masks_that_has_changed_is_found(folder: Path) -> None:
    experiment = Experiment.load("small.toml")
    masks = {array.name: np.ones(array.shape) for array in experiment.circuit.arrays}
    (folder / "masks.npz").write_bytes(npz(masks))
    subset = Experiment.load("small.toml", ["subset.choose=mask", "subset.file=masks.npz"])
    run = subset.create_run(folder / "masked")
    Experiment.of_run(run)
    fewer = {name: mask * (np.arange(len(mask)) > 0)[:, None] for name, mask in masks.items()}
    (folder / "masks.npz").write_bytes(npz(fewer))
    with pytest.raises(RunError, match=r"subset\.file holds something else than when the run was made"):
        Experiment.of_run(run)


def _without(*keys: str) -> Callable[[dict[str, object]], None]:
    return lambda manifest: [manifest.pop(key, None) for key in keys] and None


def edit_manifest(run: Path, change: Callable[[dict[str, object]], None]) -> None:
    manifest = json.loads((run / "manifest.json").read_text())
    change(manifest)
    (run / "manifest.json").write_text(json.dumps(manifest))


def test_older_runs_are_compared_by_their_netlist_and_what_else_they_say(folder: Path) -> None:
    run, file = Run(folder / "run"), folder / "run" / "experiment.toml"
    edit_manifest(run.path, _without("settings", "files", "parts"))
    with np.load(run.path / "checkpoint.npz") as saved:
        (run.path / "checkpoint.npz").write_bytes(npz({name: saved[name] for name in saved if name != "owner"}))
    Experiment.of_run(run, ["variation.spread=0.1"])
    for pattern, replacement, told in [
        (r"^amplifier_gain = 4\.0", "amplifier_gain = 2.0", "describes another network than the run was made with"),
        (r"^seed = 0", "seed = 1", "seed was 0 and is 1"),
        (r"^kind = .nodal.", 'kind = "ngspice"', "chip.kind was 'nodal' and is 'ngspice'"),
    ]:
        before = file.read_text()
        edit(file, pattern, replacement)
        with pytest.raises(RunError, match=told):
            Experiment.of_run(run)
        file.write_text(before)


def test_an_older_run_of_a_packaged_experiment_tells_what_was_edited(tmp_path: Path) -> None:
    experiment = Experiment.load("xor", ["chip.kind=nodal"])
    run = experiment.create_run(tmp_path / "run")
    edit_manifest(run.path, _without("settings"))
    Experiment.of_run(run)
    edit(run.experiment, r"^amplifier_gain = 4\.0", "amplifier_gain = 2.0")
    with pytest.raises(RunError, match=r"network\.amplifier_gain is 2\.0, and 4\.0 in the packaged experiment"):
        Experiment.of_run(run)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (_without("versions"), "key 'versions' is missing"),
        (_without("data_sha256"), "key 'data_sha256' is missing"),
        (lambda m: m.update(versions=7), "key 'versions' is no such value"),
        (lambda m: m.update(settings=7), "key 'settings' is no such value"),
        (lambda m: m["settings"].update(unheard_of=1), "or of another version: settings.unheard_of"),
        (lambda m: m.update(own={"rule": 1}), "key 'own' is no such value"),
    ],
)
def test_a_damaged_manifest_is_one_sentence(folder: Path, change: Callable[..., None], told: str) -> None:
    edit_manifest(folder / "run", change)
    for command in ("evaluate", "resume", "report", "export"):
        assert told in complaint(*READING[command])


def test_a_result_and_a_checkpoint_of_other_runs_are_found(folder: Path) -> None:
    run = Run(folder / "run")
    other = Experiment.load("small.toml", ["training.seed=5", "training.epochs=2"])
    other.train(other.create_run(folder / "other"), pictures=False)
    wide = Experiment.load("small.toml", ["network.hidden=[5]"])
    wide.train(wide.create_run(folder / "wide"), pictures=False)
    for file, source, told in [
        ("result.json", "other", r"result\.json is of another run: its seed is 5, but 0"),
        ("checkpoint.npz", "wide", r"checkpoint\.npz is of another run"),
    ]:
        kept = (run.path / file).read_bytes()
        shutil.copy(folder / source / file, run.path / file)
        with pytest.raises(RunError, match=told):
            Experiment.of_run(run).trained(run)
        (run.path / file).write_bytes(kept)
    shutil.copy(folder / "other" / "epochs.csv", run.path / "epochs.csv")
    with pytest.raises(RunError, match=r"result\.json is of another run: its test_accuracy|its test_loss"):
        Experiment.of_run(run)


def test_conductances_beyond_the_bounds_are_of_another_network(folder: Path) -> None:
    run = Run(folder / "run")
    with np.load(run.path / "checkpoint.npz") as saved:
        arrays = dict(saved)
    arrays["g_0"] = arrays["g_0"] + 1e-3
    (run.path / "checkpoint.npz").write_bytes(npz(arrays))
    with pytest.raises(RunError, match=r"has 1 mS…1 mS, its cells reach 0 S…100 µS"):
        Experiment.of_run(run).trained(run)


# parts of one's own


class Signs:
    """A rule of one's own: the sign of the gradient."""

    def __init__(self, rule: GeneralizedEquilibriumPropagation, size: float = 1e3) -> None:
        self.rule, self.size = rule, size

    def measure(self, chip, batch, rng):  # type: ignore[no-untyped-def]
        """See `LearningRule`."""
        return self.rule.measure(chip, batch, rng)

    def gradient(self, readings):  # type: ignore[no-untyped-def]
        """See `LearningRule`."""
        return tuple(self.size * np.sign(g) for g in self.rule.gradient(readings))


def limited(strength: float, free: np.ndarray, targets: np.ndarray) -> Injection:
    """A nudge of one's own."""
    return Injection(strength * np.clip(targets - free, -0.2, 0.2))


def signs(experiment: Experiment, size: float = 1e3) -> Signs:
    return Signs(GeneralizedEquilibriumPropagation(experiment.circuit, limited, order=1, strength=1e-6), size)


def given(experiment: Experiment, run: Run, how: str) -> None:
    """Train with a rule of one's own, in each of the ways that there are."""
    rule = signs(experiment)
    if how == "controller":
        with experiment.open_chip() as chip:
            train(chip, rule, experiment.update, experiment.cost, experiment.data, experiment.plan, run)
    elif how == "with_parts":
        experiment.with_parts(rule=rule).train(run, pictures=False)
    else:
        vars(experiment)["rule"] = rule
        experiment.train(run, pictures=False)


@pytest.mark.parametrize("how", ["controller", "with_parts", "by force"])
def test_a_rule_of_one_s_own_is_recorded_and_has_to_be_given_again(folder: Path, how: str) -> None:
    experiment = Experiment.load("small.toml")
    run = experiment.create_run(folder / "own")
    given(experiment, run, how)
    manifest = run.manifest
    assert manifest["own"] == ["rule"]
    assert manifest["parts"]["rule"]["kind"].endswith("test_manifest.Signs")
    assert manifest["parts"]["rule"]["rule"]["nudge"]["kind"].endswith("test_manifest.limited")
    (run.path / "result.json").unlink(missing_ok=True)
    message = complaint("train", "--resume", "own")
    assert re.search(r"own: its rule was \S*Signs .*, and harness\S*EquilibriumPropagation .* is given", message)
    resumed = Experiment.of_run(run, rule=signs(experiment))
    assert resumed.train(run, pictures=False) is not None
    with pytest.raises(RunError, match=r"its rule was .*size = 1000\.0.*size = 2000\.0"):
        Experiment.of_run(run, rule=signs(experiment, 2e3)).train(run, pictures=False)


def test_other_parts_of_one_s_own_are_recorded(folder: Path) -> None:
    experiment = Experiment.load("small.toml")

    class Cost(SquaredError):
        pass

    other = Experiment.load("small.toml", ["data.seed=4"]).data
    plan = Plan(1, 20, 3)
    run = experiment.create_run(folder / "own")
    with experiment.replace({"variation.spread": 0.1}).open_chip() as chip:
        train(chip, experiment.rule, experiment.update, Cost(), other, plan, run)
    assert sorted(run.manifest["own"]) == ["chip", "cost", "data", "plan"]
    assert run.manifest["parts"]["chip"] == ["VariedChip", "nodal"]
    made = experiment.with_parts(data=other).create_run(folder / "data")
    assert made.manifest["own"] == ["data"]
    assert "its data are not those" in complaint("evaluate", "data")
    assert Experiment.of_run(made, data=other).data is other
    with pytest.raises(ExperimentError, match="no part 'rules'"):
        experiment.with_parts(rules=1)


def test_a_network_of_one_s_own_is_no_network_of_the_file(folder: Path) -> None:
    experiment = Experiment.load("small.toml")
    circuit = Experiment.load("small.toml", ["network.amplifier_gain=2"]).circuit
    run = experiment.with_parts(circuit=circuit).create_run(folder / "own")
    assert "its network was made in Python" in complaint("show", "own", "--to", "own.png")
    Experiment.of_run(run, circuit=circuit)


def test_commands_say_whose_run_it_is(folder: Path) -> None:
    experiment = Experiment.load("small.toml")
    run = experiment.create_run(folder / "own")
    given(experiment, run, "controller")
    result = CliRunner().invoke(main, ["evaluate", "own", "--json"])
    assert result.exit_code == 0
    assert "own: trained in own by parts of one's own (rule: " in result.stderr


def test_parts_of_one_s_own_survive_a_change_of_settings() -> None:
    experiment = Experiment.load("iris", ["chip.kind=nodal"])
    data: Split = Experiment.load("iris", ["data.set=wine"]).data
    changed = experiment.with_parts(data=data).replace({"training.epochs": 1})
    assert changed.data is data
    assert changed.own == ["data"]
    assert changed.circuit.arrays[0].shape != experiment.circuit.arrays[0].shape


# a trained network, changed on purpose


def test_a_trained_network_is_evaluated_on_other_chips(folder: Path) -> None:
    def evaluated(*arguments: str) -> dict[str, float]:
        result = CliRunner().invoke(main, ["evaluate", "run", "--json", *arguments])
        assert result.exit_code == 0, result.stderr
        found: dict[str, float] = json.loads(result.stdout)
        return found

    plain = evaluated()
    assert "with" not in plain
    spread = [evaluated("--set", "variation.spread=0.3", "--set", f"variation.seed={seed}") for seed in (1, 2)]
    assert spread[0]["with"] == {"variation.seed": "1", "variation.spread": "0.3"}
    assert len({each["test_loss"] for each in (plain, *spread)}) == 3
    assert evaluated("--set", "training.seed=8", "--set", "variation.spread=0.3") == {
        **evaluated("--set", "variation.spread=0.3"),
        "with": {"variation.spread": "0.3", "training.seed": "8"},
    }, "the chip, the split and the network keep the seeds of the run"
    noisy = evaluated("--set", "imperfect.read_noise=10 mV")
    assert noisy["with"] == {"imperfect.read_noise": "10 mV"}


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("network.amplifier_gain=2", "network.amplifier_gain = 2.0 would make another network than the trained one"),
        ("network.seed=2", "network.seed = 2 would make another network"),
        ("data.held_out=0.1", "data.held_out = 0.1 would make other data"),
        ("data.seed=3", "data.seed = 3 would make other data"),
        ("data.file=other.csv", "its data are not those that it was made with"),
    ],
)
def test_what_would_make_another_network_or_other_data_is_refused(folder: Path, override: str, told: str) -> None:
    write_rows(folder / "other.csv", seed=3)
    for command in ("evaluate", "export", "report", "check", "conductances export"):
        assert told in complaint(*READING[command], "--set", override)


def test_what_a_package_holds_says_with_what_it_was_changed(folder: Path) -> None:
    changes = ["--set", "variation.temperature=85", "--as-made", "--to", "hot"]
    assert CliRunner().invoke(main, ["export", "run", *changes]).exit_code == 0
    manifest = json.loads((folder / "hot" / "manifest.json").read_text())
    assert manifest["conductances"] == "trained in run, with variation.temperature = 85.0"


def test_training_goes_on_from_a_run_in_a_new_one(folder: Path) -> None:
    origin = Run(folder / "run")
    before = {file.name: file.read_bytes() for file in origin.path.iterdir()}
    changes = ["--seed", "9", "--set", "training.epochs=1", "--set", "update.rates=[1e-3]", "--run", "tuned"]
    result = CliRunner().invoke(main, ["train", "--from", "run", *changes, "--json"])
    assert result.exit_code == 0, result.stderr
    tuned, position = Run(folder / "tuned"), origin.position()
    about = tuned.manifest["origin"]
    assert (about["run"], about["epochs"]) == ("run", 2)
    assert about["changes"] == {"update.rates": "[0.001]", "training.epochs": "1", "training.seed": "9"}
    assert tuned.manifest["data_sha256"] == origin.manifest["data_sha256"]
    experiment, start = warm_start(origin, ["training.epochs=1"])
    assert position is not None
    for ours, theirs in zip(start.conductances, position.conductances, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    fresh = experiment.create_run(folder / "fresh", start)
    assert experiment.evaluate(fresh)["test_loss"] == Experiment.of_run(origin).evaluate(origin)["test_loss"]
    assert before == {file.name: file.read_bytes() for file in origin.path.iterdir()}


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("network.hidden=[5]", "is of another network: it has cells"),
        ("network.g_max=2e-6", "its cells reach 0 S…2 µS"),
        ("data.held_out=0.1", "data.held_out = 0.1 would make other data"),
        ("data.targets=[0, 1]", "data.targets = [0 V, 1 V] would make other data"),
    ],
)
def test_what_does_not_fit_is_not_trained_on(folder: Path, override: str, told: str) -> None:
    assert told in complaint(*READING["from"], "--set", override, "--run", "new")
    assert not (folder / "new").exists()


def test_the_network_may_change_where_its_cells_stay(folder: Path) -> None:
    experiment, _ = warm_start(Run(folder / "run"), ["network.amplifier_gain=2", "chip.chunk=8"])
    assert experiment.settings.network.amplifier_gain == 2.0  # type: ignore[union-attr]


# seeds


@pytest.mark.parametrize("key", ["data.seed", "network.seed", "training.seed"])
def test_each_seed_decides_its_own(key: str) -> None:
    plain = Experiment.load("iris", ["chip.kind=nodal"])
    said = Experiment.load("iris", ["chip.kind=nodal", "data.seed=0", "network.seed=0", "variation.seed=0"])
    changed = Experiment(said.settings).replace({key: 3})
    assert (plain.data.sha256(), plain.plan) == (said.data.sha256(), said.plan)
    assert (changed.data.sha256() != plain.data.sha256()) == (key == "data.seed")
    assert same_cells(changed, plain) == (key != "network.seed")
    assert (changed.plan != plain.plan) == (key == "training.seed")
    assert same_cells(said, plain)


def same_cells(one: Experiment, other: Experiment) -> bool:
    return all(map(np.array_equal, one.circuit.conductances, other.circuit.conductances))
