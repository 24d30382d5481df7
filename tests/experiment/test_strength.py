"""How strongly a network may be nudged, and what happens beyond: springs of −β, `beta = "auto"`, warnings."""

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.chip.metering import ledger_of
from harness.chip.ngspice.chip import FullBatchChip, FullNetlistChip, NgspiceChip
from harness.chip.nodal import newton
from harness.chip.nodal.chip import NodalChip
from harness.chip.nodal.unreduced import UnreducedNodalChip
from harness.circuit import Circuit, Reduction
from harness.circuit.branches import Branches
from harness.circuit.reduction.settling import Network
from harness.circuit.variation.nonlinearity import CellNonlinearity
from harness.cli.main import main
from harness.devices.diode import THERMAL_VOLTAGE, current_and_slope
from harness.errors import ConvergenceError, ExperimentError, RunError, SpringError
from harness.experiment.experiment import Experiment
from harness.experiment.runs.manifest import check_settings
from harness.experiment.settings import Settings
from harness.experiment.strength import SHARE, own_conductance
from harness.learning import AnalyticalGradient, CoupledLearning, EquilibriumPropagation, Nudging, SquaredError, Variant
from harness.measurement import Array, Drive, Injection, Reading, Spring
from harness.training.runs import Run
from harness.units import show
from tests.conftest import kendall, random_batch, scellier

OVERLOADED = ["chip.kind=nodal", "network.hidden=[3]", "rule.beta=1 uS", "training.epochs=2"]
"""Iris with hidden nodes so few that 1 µS is 3.04, 0.64, 0.71, … of its own conductance with seeds 0, 1, 2, …"""


def sprung(circuit: Circuit, share: float) -> tuple[float, list[Drive]]:
    """β of a share of the circuit's own conductance, and the phases that pull both ways with it."""
    batch = random_batch(circuit)
    beta = share * own_conductance(circuit)
    signs = (beta, "nudged +β"), (-beta, "nudged −β")
    return beta, [Drive(batch.inputs), *(Drive(batch.inputs, Spring(b, batch.targets), name) for b, name in signs)]


def hessian(network: Network, beta: float, terminals: Array | None = None) -> Array:
    """Second derivatives of the co-content with springs of β at the outputs, S, ``[n, n]``.

    Diodes have the slopes of the terminals' voltages (V, ``[n + rails]``); without them, they block.
    """
    count = 1 + max(int(end.max()) for end in (network.topology.diodes.anode, network.topology.diodes.cathode))
    ends = np.eye(max(count, network.size))[:, : network.size]
    outputs = ends[network.topology.plus] - ends[network.topology.minus]
    matrix = network.conductance + beta * outputs.T @ outputs
    if terminals is not None:
        diodes, scale = network.topology.diodes, network.topology.diodes.emission * THERMAL_VOLTAGE
        over = ends[diodes.anode] - ends[diodes.cathode]
        _, slopes = current_and_slope(terminals[diodes.anode] - terminals[diodes.cathode], diodes.saturation, scale)
        matrix = matrix + over.T @ (slopes[:, None] * over)
    return np.asarray(matrix)


@given(seed=st.integers(0, 2**16), share=st.floats(0.5, 1.5), deep=st.booleans())
@settings(max_examples=40, deadline=None)
def test_the_energy_is_convex_just_below_the_networks_own_conductance(seed: int, share: float, deep: bool) -> None:
    circuit = (scellier if deep else kendall)([3, 2], seed)
    network = Reduction(circuit).reduce(circuit.conductances).network
    least = np.linalg.eigvalsh(hessian(network, -share * own_conductance(circuit)))[0]
    assert (least > 0) == (share < 1) or abs(share - 1) < 1e-6


@given(seed=st.integers(0, 2**16), gain=st.floats(0.5, 8), law=st.sampled_from([None, "sinh", "cubic"]))
@settings(max_examples=25, deadline=None)
def test_both_ways_of_writing_the_equations_find_the_same_own_conductance(seed: int, gain: float, law: str) -> None:
    circuit = kendall([3, 2], seed, amplifier_gain=gain)
    bent = CellNonlinearity(**{law: 1.0}).apply(circuit) if law else circuit
    found = Branches(bent).programmed(bent.conductances).output_conductance()
    assert found == pytest.approx(own_conductance(circuit), rel=1e-6)


def test_beyond_it_roots_of_kirchhoffs_equations_are_saddles() -> None:
    """Newton's method and ngspice find them; a chip would run away from them."""
    circuit = kendall([3], 1)
    beta, drives = sprung(circuit, 1.5)
    reduced = Reduction(circuit).reduce(circuit.conductances)
    settling = reduced.settling([drives[2]])
    terminals = np.column_stack([newton.settle(settling, 1e-9)[:, 0], settling.phases[0].rails])
    least = [np.linalg.eigvalsh(hessian(reduced.network, -beta, volts))[0] for volts in terminals]
    assert min(least) < 0


CHIPS = [
    NodalChip,
    UnreducedNodalChip,
    *(pytest.param(c, marks=pytest.mark.ngspice) for c in (NgspiceChip, FullNetlistChip, FullBatchChip)),
]


@pytest.mark.parametrize("make", CHIPS)
def test_every_chip_refuses_the_same_springs_with_the_same_sentence(make: type[NodalChip]) -> None:
    circuit = kendall([3], 1)
    _, bearable = sprung(circuit, 0.99)
    assert all(np.isfinite(reading.outputs).all() for reading in make(circuit).measure(bearable))
    beta, drives = sprung(circuit, 1.5)
    with pytest.raises(SpringError, match=r"^nudged −β phase, sample 0 \(and 2 more of its samples\): spr") as refused:
        make(circuit).measure(drives)
    bound = show(refused.value.bound, "S")
    assert (
        f"{show(-beta, 'S')} outdo the conductance that the outputs see of the network in this state, {bound}"
        in str(refused.value)
    )
    assert refused.value.samples == (0, 1, 2)
    assert own_conductance(circuit) < refused.value.bound < beta
    assert 'lower β (rule.beta) below that, nudge by current (rule.nudging = "current"), or' in str(refused.value)
    assert len(make(circuit).measure(drives[:2])) == 2  # +β is borne
    pushed = Drive(drives[0].inputs, Injection(np.full_like(drives[1].nudge.targets, 5.0)))  # type: ignore[union-attr]
    assert len(make(circuit).measure([pushed])) == 1


def test_a_chip_as_made_is_judged_by_the_circuit_inside() -> None:
    subject = Experiment.load("iris", ["chip.kind=nodal", "network.hidden=[3]", "variation.spread=0.5"])
    drawn = own_conductance(subject.circuit)
    chip = subject.new_chip()
    made = own_conductance(chip.made)  # type: ignore[attr-defined]
    rows = subject.data.train.batch(slice(4))
    assert abs(made / drawn - 1) > 0.01
    chip.measure([Drive(rows.inputs, Spring(-0.999 * made, rows.targets))])
    with pytest.raises(SpringError, match="outdo the conductance") as refused:
        chip.measure([Drive(rows.inputs, Spring(-2 * made, rows.targets))])
    assert ledger_of(chip) is not None
    assert ledger_of(chip).unstable_states == len(refused.value.samples)  # type: ignore[union-attr]
    with pytest.raises(SpringError) as inside:
        NodalChip(chip.made).measure([Drive(rows.inputs, Spring(-2 * made, rows.targets))])  # type: ignore[attr-defined]
    assert refused.value.samples == inside.value.samples
    assert refused.value.bound == inside.value.bound


def test_cells_that_fell_in_training_are_seen() -> None:
    circuit = kendall([3], 1)
    _, drives = sprung(circuit, 0.5)
    chip = NodalChip(circuit)
    chip.measure(drives)
    chip.program([np.maximum(0.3 * array.conductances, array.g_min) for array in circuit.arrays])
    with pytest.raises(SpringError, match="outdo the conductance that the outputs see"):
        chip.measure(drives)


def error_of(subject: Experiment) -> tuple[float, float]:
    """Cosine and relative error of the rule's gradient against the adjoint, the worst array's, on 16 rows."""
    rows, rng = subject.data.train.batch(slice(16)), np.random.default_rng(0)
    chip = NodalChip(subject.circuit, tolerance=1e-10)
    truth, ours = (
        rule.gradient(rule.measure(chip, rows, rng))
        for rule in (AnalyticalGradient(subject.circuit, subject.cost), subject.rule)
    )
    pairs = [(a.ravel(), b.ravel()) for a, b in zip(ours, truth, strict=True)]
    norm = np.linalg.norm
    return (
        float(min(a @ b / (norm(a) * norm(b)) for a, b in pairs)),
        float(max(norm(a - b) / norm(b) for a, b in pairs)),
    )


AUTO = ["chip.kind=nodal", "rule.kind=equilibrium-propagation", "rule.beta=auto", "rule.variant=centered"]


@pytest.mark.parametrize("name", ["iris", "xor", "digits", "regression", "iris-graph", "xor-graph"])
def test_auto_gives_the_adjoints_gradient_within_two_percent(name: str) -> None:
    subject = Experiment.load(name, AUTO)
    cosine, error = error_of(subject)
    assert cosine > 0.9998
    assert error < 0.02
    if name not in ("iris-graph", "xor-graph"):
        assert subject.strength.nudging is Nudging.SPRING
        assert subject.strength.beta == SHARE * own_conductance(subject.circuit)


def test_where_outputs_hang_on_diodes_auto_nudges_by_current() -> None:
    settings = Experiment.load("xor-graph", AUTO).settings
    rule = settings.rule.model_copy(update={"nudging": None})
    subject = Experiment(settings.model_copy(update={"rule": rule}))
    assert own_conductance(subject.circuit) < 1e-11
    assert subject.strength.nudging is Nudging.CURRENT
    assert 1e-6 < subject.strength.beta < 1e-4
    with pytest.raises(ExperimentError, match=r'outputs see 2 pS of the network, .*write rule.nudging = "current"'):
        _ = Experiment.load("xor-graph", [*AUTO, "rule.nudging=spring"]).strength


@pytest.mark.parametrize("seed", [0, 4])
def test_auto_trains_what_a_fixed_beta_did_not(seed: int, tmp_path: Path) -> None:
    subject = Experiment.load("iris", [*OVERLOADED, f"training.seed={seed}", "rule.beta=auto", "training.epochs=6"])
    assert not subject.warnings()
    result = subject.train(subject.create_run(tmp_path / "run"), pictures=False)
    assert result is not None
    assert result["test_accuracy"] > 0.75


def test_auto_is_the_default_and_a_run_records_its_figure(tmp_path: Path) -> None:
    text = (tmp_path / "own.toml", tmp_path / "auto.toml")
    for file, rule in zip(text, ['{ variant = "centered" }', '{ beta = "auto", variant = "centered" }'], strict=True):
        file.write_text(
            'name = "own"\ndata = { set = "iris" }\nupdate = { kind = "adam", rates = [5e-3] }\n'
            f'rule = {rule}\ntraining = {{ epochs = 2, batch = 8 }}\nchip = {{ kind = "nodal" }}\n'
            '[network]\nkind = "layered"\nhidden = [5]\ng_unit = "10 uS"\ng_max = "100 uS"\n'
            'diode = { saturation_current = "10 pA" }\n'
        )
    runs = []
    for k, file in enumerate(text):
        subject = Experiment.from_file(file)
        runs.append(subject.create_run(tmp_path / f"run{k}"))
        recorded = Experiment.from_file(runs[-1].experiment)
        assert recorded.settings.rule.beta == subject.strength.beta  # type: ignore[union-attr]
        assert recorded.settings.rule.nudging is Nudging.SPRING  # type: ignore[union-attr]
        assert recorded.strength == subject.strength
    assert runs[0].experiment.read_bytes() == runs[1].experiment.read_bytes()


@pytest.mark.parametrize("text", ["5 %", "5%", " 5.0 % "])
def test_a_share_counts_in_what_the_outputs_see_when_the_run_begins(text: str, tmp_path: Path) -> None:
    subject = Experiment.load("iris", ["chip.kind=nodal", f"rule.beta={text}", "training.epochs=2"])
    assert subject.strength.beta == 0.05 * own_conductance(subject.circuit)
    run = subject.create_run(tmp_path / "run")
    subject.train(run, pictures=False)
    recorded = Experiment.from_file(run.experiment)
    assert recorded.settings.rule.beta == subject.strength.beta  # type: ignore[union-attr]
    assert "beta = 7.911" in run.experiment.read_text()
    assert Settings.model_validate(subject.settings.model_dump()) == subject.settings
    assert subject.settings.rule.model_dump()["beta"] == "5 %"
    assert Experiment.of_run(Run(run.path)).strength == subject.strength


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("0 %", r"'0 %' must be above 0 % and at most 1000 % of what the outputs see"),
        ("-5 %", r"'-5 %' must be above 0 % and at most 1000 %"),
        ("1001 %", r"'1001 %' must be above 0 % and at most 1000 %"),
        ("abc %", r"'abc %' is no share; write a number in percent, such as '5 %'"),
        ("5 S%", r"'5 S%' is no share; write a number in percent"),
        ("nan %", r"'nan %' is no share"),
        ("1e999 %", r"'1e999 %' is no share"),
        ("5 % S", r"'5 % S' should be in S"),
    ],
)
def test_shares_that_are_none_are_refused(text: str, said: str) -> None:
    with pytest.raises(ExperimentError, match=rf"rule.beta: {said}|rule.beta=.*{said}"):
        Experiment.load("iris", [f"rule.beta={text}"])


def test_a_sweep_knows_a_run_whose_share_it_resolved(tmp_path: Path) -> None:
    """Points of a sweep have the share, and their runs the figure that it stood for."""
    subject = Experiment.load("xor", ["chip.kind=nodal", "rule.beta=10 %"])
    run = subject.create_run(tmp_path / "run")
    check_settings(run, subject.settings, before=True)
    with pytest.raises(RunError, match=r"rule.beta is '10 %', but the run was made with 156 nS"):
        check_settings(run, subject.settings)
    with pytest.raises(RunError, match=r"rule.beta is 1 µS, but the run was made with 156 nS"):
        check_settings(run, subject.replace({"rule.beta": 1e-6}).settings, before=True)


@pytest.mark.parametrize("chip", ["nodal", pytest.param("ngspice", marks=pytest.mark.ngspice)])
def test_samples_that_fall_back_are_counted_in_the_run(chip: str, tmp_path: Path) -> None:
    result = train(tmp_path / "run", f"chip.kind={chip}", "rule.unstable=one-sided")
    assert result.exit_code == 0, result.stderr
    run = Run(tmp_path / "run")
    found = run.result
    assert found is not None
    counted = run.epochs["unstable states under −β"].tolist()
    assert found["unstable_states"] == sum(counted) > 0
    assert (
        f"{found['unstable_states']} unstable states under springs of −β, compared one-sided instead" in result.output
    )
    assert found["test_accuracy"] > 0.5
    borne = train(tmp_path / "borne", f"chip.kind={chip}", "rule.beta=30 nS")
    assert "unstable" not in borne.output
    assert Run(tmp_path / "borne").result["unstable_states"] == 0  # type: ignore[index]


def test_a_stopped_run_goes_on_with_the_strength_it_began_with(tmp_path: Path) -> None:
    """β belongs to the initial circuit: a run that goes on from other conductances must not look again."""
    subject = Experiment.load("iris", [*OVERLOADED, "rule.beta=auto"])
    whole = subject.create_run(tmp_path / "whole")
    subject.train(whole, pictures=False)
    run = subject.create_run(tmp_path / "run")
    steps = iter(range(100))
    assert subject.train(run, pictures=False, stop=lambda: next(steps) > 6) is None
    Experiment.from_file(run.experiment).train(Run(run.path), pictures=False)
    assert (run.path / "steps.csv").read_bytes() == (whole.path / "steps.csv").read_bytes()


def train(folder: Path, *overrides: str) -> Result:
    arguments = [part for override in (*OVERLOADED, *overrides) for part in ("--set", override)]
    return CliRunner().invoke(main, ["train", "iris", "--run", str(folder), *arguments])


@pytest.mark.parametrize("chip", ["nodal", pytest.param("ngspice", marks=pytest.mark.ngspice)])
def test_springs_that_a_network_does_not_bear_are_refused_before_training(chip: str, tmp_path: Path) -> None:
    result = train(tmp_path / "run", f"chip.kind={chip}")
    assert result.exit_code == 2
    assert "rule.beta: 1 µS is 3.04 times the conductance that the outputs see of the network, 328 nS" in result.stderr
    assert "leave at least 32 of the first 32 training samples no stable state" in result.stderr
    assert '"auto" (a tenth of it, 32.8 nS), a smaller β, rule.nudging = "current", or rule.unst' in result.stderr
    assert not any(tmp_path.iterdir())
    subject = Experiment.load("iris", OVERLOADED)
    cures = ("beta", "auto"), ("beta", "100 nS"), ("nudging", "current"), ("variant", "one-sided")
    for key, cure in (*cures, ("unstable", "one-sided")):
        (tmp_path / key).mkdir(exist_ok=True)
        cured = subject.replace({f"rule.{key}": cure})
        cured.create_run(tmp_path / key / cure)
        cured.rule.measure(cured.new_chip(), cured.data.train.batch(slice(8)), np.random.default_rng(0))


def test_springs_that_come_close_are_warned_of_before_training(tmp_path: Path) -> None:
    result = train(tmp_path / "run", "training.seed=6")
    assert result.exit_code == 0, result.stderr
    warning, training = (result.stderr.index(text) for text in ("warning: rule.beta: 1 µS is 0.96 t", "training iris"))
    assert warning < training
    assert result.stderr.count("warning: rule.beta") == 1


def test_the_network_is_reduced_once_for_all_that_is_asked_of_its_initial_springs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    subject = Experiment.load("xor", ["rule.variant=centered", "rule.beta=1e-7"])
    springs, asked = subject.springs, []
    assert springs.negative
    reduce = Reduction.reduce
    monkeypatch.setattr(Reduction, "reduce", lambda one, cells: asked.append(cells) or reduce(one, cells))
    initial = subject.circuit.conductances
    springs.refuse(initial)
    assert springs.warning(subject.circuit.conductances) is None
    assert len(asked) == 1
    fallen = tuple(g / 1000 for g in initial)
    assert springs.warning(fallen) is not None
    for cells, g in zip(fallen, initial, strict=True):
        cells[:] = g
    asked.clear()
    assert springs.warning(fallen) is None
    assert len(asked) == 1


def test_springs_that_come_close_in_training_are_warned_of_once(tmp_path: Path) -> None:
    """Cells that forget a hundredth of what they hold at every write, and hardly learn."""
    falling = ["training.seed=1", "training.epochs=2", "update.rates=[1e-6]", "imperfect.decay=0.01"]
    result = train(tmp_path / "run", *falling)
    assert "is 0.64 of" not in result.stderr
    assert result.stderr.count("warning: rule.beta") == 1, result.stderr
    assert result.stderr.index("training iris") < result.stderr.index("warning: rule.beta")


def test_a_beta_that_outgrows_its_network_in_training_names_the_command_that_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cells that forget a tenth of what they hold at every write."""
    monkeypatch.chdir(tmp_path)
    falling = ["training.seed=1", "update.rates=[1e-6]", "imperfect.decay=0.1"]
    result = train(tmp_path / "my run", *falling)
    assert result.exit_code == 1
    assert "springs of β = -1 µS outdo the conductance that the outputs see of the network" in result.stderr
    (onward,) = re.findall(r"go on from its checkpoint with: harness (.*)", result.stderr)
    words = shlex.split(onward)
    assert words[:3] == ["train", "--from", str(tmp_path / "my run")]
    assert re.fullmatch(r"rule\.beta=[\d.]+e-0[789]", words[-1])
    assert words[-1] in train_again(tmp_path / "my run")  # resuming meets the same network
    result = CliRunner().invoke(main, [*words, "--set", "imperfect.decay=0", "--run", "onward"])
    assert result.exit_code == 0, result.stderr
    assert "warning: rule.beta" not in result.stderr


def train_again(run: Path) -> str:
    return CliRunner().invoke(main, ["train", "--resume", str(run)]).stderr


def test_a_rule_of_ones_own_is_not_told_of_keys_that_it_does_not_read(tmp_path: Path) -> None:
    subject = Experiment.load("iris", [*OVERLOADED, "rule.beta=auto"])
    rule = EquilibriumPropagation(subject.circuit, SquaredError(), beta=1e-3, variant=Variant.CENTERED)
    own = subject.with_parts(rule=rule)
    with pytest.raises(SpringError, match=r"outdo the conductance(?!.*--from)"):
        own.train(own.create_run(tmp_path / "run"), pictures=False)


def test_check_says_nothing_of_springs_to_a_rule_without_any(tmp_path: Path) -> None:
    for name, change, said in (("xor", "rule.beta=auto", True), ("xor", "rule.nudging=current", False)):
        result = CliRunner().invoke(main, ["check", name, "--chip", "nodal", "--json", "--set", change])
        figures = {row["name"]: row for row in json.loads(result.stdout)["checks"]}
        assert any(name.startswith("β against") for name in figures) is said
        assert result.exit_code == 0


class Unsettled(NodalChip):
    """A nodal chip that settles in its free phase only."""

    def measure(self, drives: list[Drive]) -> tuple[Reading, ...]:  # type: ignore[override]
        if nudged := [drive for drive in drives if drive.nudge]:
            raise ConvergenceError("Newton's method did not settle", sample=3, phase=nudged[0].phase)
        return super().measure(drives)


@pytest.mark.parametrize(
    ("rule", "cure"),
    [
        (EquilibriumPropagation(kendall([3]), SquaredError(), beta=1e-3), "the nudge's β is 1 mS; lower rule.beta"),
        (CoupledLearning(kendall([3]), SquaredError(), eta=0.5), "the nudge's η is 0.5; lower rule.eta"),
    ],
)
def test_a_nudged_phase_that_does_not_settle_names_the_strength(
    rule: EquilibriumPropagation | CoupledLearning, cure: str
) -> None:
    circuit = kendall([3])
    with pytest.raises(ConvergenceError, match=rf"sample 3, nudged.* phase: Newton's .* settle; {cure}") as failed:
        rule.measure(Unsettled(circuit), random_batch(circuit), np.random.default_rng(0))
    assert failed.value.sample == 3
