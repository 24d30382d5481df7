"""`harness audit`: truths against each other, rules against truths, and what the command prints."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from harness.chip.nodal.chip import NodalChip
from harness.circuit import CellRange, Circuit
from harness.circuit.variation.lines import AmplifierErrors
from harness.cli.main import main
from harness.errors import ChipError
from harness.learning import (
    AnalyticalGradient,
    CoupledLearning,
    EquilibriumPropagation,
    Nudging,
    SoftmaxCrossEntropy,
    SquaredError,
    Variant,
)
from harness.measurement import Batch, Conductances
from harness.studies.audit import (
    Curve,
    Doubt,
    GradientError,
    NamedChip,
    Subject,
    Truth,
    applicable_rules,
    audit_gradients,
    audit_rule,
    coupled_limit,
    probed_cells,
)
from harness.studies.check import inside
from tests.chip.test_selectors import selected
from tests.conftest import kendall, random_batch, scellier

COST = SquaredError()
PNG = b"\x89PNG\r\n\x1a\n"


def subject(circuit: Circuit, **changes: object) -> Subject:
    """A subject whose nudges are small against conductances of a siemens."""
    options = {"cost": COST, "batch": random_batch(circuit), "beta": 1e-2, "step": 1e-4, "eta": 0.1, **changes}
    return Subject(circuit, **options)


def gradients(found: list, rule: str, against: str = "adjoint") -> list[GradientError]:
    return [r for r in found if isinstance(r, GradientError) and (r.rule, r.against) == (rule, against)]


def worst(found: list, rule: str, against: str = "adjoint") -> float:
    rows = gradients(found, rule, against)
    assert rows
    return max(row.relative_error for row in rows)


def curve(found: list, rule: str, knob: str) -> Curve:
    (only,) = (row for row in found if isinstance(row, Curve) and (row.rule, row.knob) == (rule, knob))
    return only


def audited(*arguments: str) -> dict:
    result = CliRunner().invoke(main, ["audit", *arguments, "--json"])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


AMPLIFIED, RECTIFIED = inside(kendall([5, 4])), inside(scellier([5, 4]))
CIRCUITS = [pytest.param(AMPLIFIED, id="amplified"), pytest.param(RECTIFIED, id="rectified")]


@pytest.fixture(scope="module")
def amplified() -> list:
    return list(audit_gradients(subject(AMPLIFIED), ngspice=False))


@pytest.mark.parametrize("cost", [COST, SoftmaxCrossEntropy(0.7)], ids=["squared", "cross-entropy"])
@pytest.mark.parametrize("circuit", CIRCUITS)
def test_the_adjoint_equals_finite_differences_that_know_nothing_of_it(circuit: Circuit, cost: object) -> None:
    found = list(audit_gradients(subject(circuit, cost=cost), ngspice=False, curves=False))
    assert len(gradients(found, "adjoint", "finite differences")) == 3
    assert worst(found, "adjoint", "finite differences") < 1e-8
    for rule in ("analytical-gradient node", "hardware-linearization"):
        assert worst(found, rule) < 1e-9
        assert worst(found, rule, "finite differences") < 1e-8
    assert bool(gradients(found, "equilibrium-propagation centered spring")) == (cost is COST)
    assert worst(found, "coupled-learning centered", "its own limit") < 1e-2


def test_centered_equilibrium_propagation_is_better_than_one_sided_at_the_same_beta(amplified: list) -> None:
    for nudging in Nudging:
        for against in ("adjoint", "finite differences"):
            centered, one_sided = (
                worst(amplified, f"equilibrium-propagation {variant} {nudging}", against)
                for variant in (Variant.CENTERED, Variant.ONE_SIDED)
            )
            assert centered < one_sided / 5
    assert worst(amplified, "finite-differences") < 1e-3


@pytest.mark.parametrize(
    ("rule", "knob", "order"),
    [
        ("equilibrium-propagation one-sided current", "β", 1),
        ("equilibrium-propagation centered current", "β", 2),
        ("coupled-learning one-sided", "η", 1),
        ("coupled-learning centered", "η", 2),
        *((f"generalized order {k} one-sided", "b", k) for k in (1, 2, 3)),
        *((f"generalized order {k} centered", "b", 2 * k) for k in (1, 3)),
    ],
)
def test_errors_fall_with_the_strength_as_the_variant_promises(
    amplified: list, rule: str, knob: str, order: int
) -> None:
    """By regression of log error on log strength, where neither rounding nor saturation rules."""
    found = curve(amplified, rule, knob)
    values, errors = np.array(found.values), np.array(found.errors)
    assert len(values) == 9
    fair = (errors > 1e-8) & (errors < 1e-2)
    assert fair.sum() >= 3
    slope = np.polyfit(np.log(values[fair]), np.log(errors[fair]), 1)[0]
    assert slope == pytest.approx(order, abs=0.05)
    off = 1 - np.array(found.cosines)[fair]  # half the squared angle, which is hardly more than the error, and rounding
    assert (off < errors[fair] ** 2 + 1e-14).all()


@pytest.mark.parametrize("circuit", CIRCUITS)
def test_coupled_learning_is_not_the_gradient_but_meets_its_own_limit(circuit: Circuit) -> None:
    found = list(audit_gradients(subject(circuit, eta=1e-4), ngspice=False, curves=False))
    assert worst(found, "coupled-learning centered", "its own limit") < 1e-5
    cosines = [row.cosine for row in gradients(found, "coupled-learning centered", "adjoint, scaled")]
    assert all(cosine < 0.9995 for cosine in cosines)
    assert worst(found, "coupled-learning centered", "adjoint, scaled") > 1e-2


def test_with_one_output_coupled_learning_points_along_the_gradient() -> None:
    """K is a number then, one for each sample; so with one sample it is a matter of scale."""
    circuit = inside(kendall([4], outputs=1))
    batch = random_batch(circuit, samples=1)
    limit = Truth("limit", coupled_limit(NodalChip(circuit), COST, batch), any_scale=True)
    rule = AnalyticalGradient(circuit, COST)
    gradient = rule.gradient(rule.measure(NodalChip(circuit), batch, np.random.default_rng(0)))
    for row in limit.compare("", "", circuit, gradient):
        assert row.against == "limit, scaled"
        assert row.cosine == pytest.approx(1, abs=1e-12)
        assert row.relative_error < 1e-9


class WithoutAmplification:
    """A gradient whose first crossbar lacks the factor of the amplifiers behind it."""

    def __init__(self, circuit: Circuit) -> None:
        self._right = AnalyticalGradient(circuit, COST)

    def measure(self, chip: NodalChip, batch: Batch, rng: np.random.Generator) -> object:
        return self._right.measure(chip, batch, rng)

    def gradient(self, readings: object) -> Conductances:
        first, *others = self._right.gradient(readings)
        return first / 16, *others


class Broken:
    """A rule that asks for what no chip has."""

    def measure(self, chip: NodalChip, batch: Batch, rng: np.random.Generator) -> object:
        raise ChipError("no such pin")

    def gradient(self, readings: object) -> Conductances:
        raise AssertionError


def test_a_missing_factor_shows_in_the_error_and_not_in_the_cosine() -> None:
    one = subject(AMPLIFIED)
    named = NamedChip("nodal", NodalChip(AMPLIFIED, tolerance=1e-11))
    right = AnalyticalGradient(AMPLIFIED, COST)
    truth = Truth("adjoint", right.gradient(right.measure(named.chip, one.batch, np.random.default_rng(0))))
    first, *others = audit_rule(one, "wrong", WithoutAmplification(AMPLIFIED), named, [truth])
    assert (first.rule, first.chip, first.crossbar, first.against) == ("wrong", "nodal", "w1", "adjoint")
    assert first.relative_error == pytest.approx(15 / 16)
    assert first.cosine == pytest.approx(1, abs=1e-12)
    assert [row.relative_error for row in others] == [0, 0]
    assert list(audit_rule(one, "broken", Broken(), named, [truth])) == [Doubt("broken", "nodal", "no such pin")]


def test_rules_have_labels_that_stay_and_the_cycle_form_appears_where_it_takes_the_circuit() -> None:
    common = {
        *(f"equilibrium-propagation {variant} {nudging}" for variant in Variant for nudging in Nudging),
        *(f"coupled-learning {variant}" for variant in Variant),
        *(f"asymmetric-equilibrium-propagation {variant}" for variant in Variant),
        "analytical-gradient node",
        "hardware-linearization",
        "frequency-propagation",
        "node-perturbation",
        "finite-differences",
        "simultaneous-perturbation",
    }
    assert {name for name, _ in applicable_rules(subject(AMPLIFIED))} == common
    assert {name for name, _ in applicable_rules(subject(RECTIFIED))} == common | {"analytical-gradient cycle"}
    large = inside(kendall([20], channels=6))
    assert {name for name, _ in applicable_rules(subject(large))} == common - {"finite-differences"}


def test_amplifiers_of_unequal_gains_are_audited_by_the_rules_that_take_them() -> None:
    circuit = AmplifierErrors(gain=0.1).apply(inside(kendall([4])), np.random.default_rng(0))
    found = list(audit_gradients(subject(circuit), ngspice=False))
    assert worst(found, "adjoint", "finite differences") < 1e-9
    assert worst(found, "hardware-linearization") < 1e-12
    assert worst(found, "frequency-propagation") < 1e-12
    assert worst(found, "node-perturbation") < 1e-3
    assert not [row for row in found if not isinstance(row, GradientError) or row.rule.startswith("equilibrium")]


def test_a_network_with_open_cells_is_audited_as_it_is() -> None:
    """Cells at a bound are not probed, and the cycle form, which cannot take them, says so."""
    circuit = scellier([4], cells=CellRange(1.0, 0.0, 10.0))
    found = list(audit_gradients(subject(circuit), ngspice=False, curves=False))
    assert worst(found, "adjoint", "finite differences") < 1e-8
    (doubt,) = (row for row in found if isinstance(row, Doubt))
    assert doubt.rule == "analytical-gradient cycle"
    assert "needs every cell above 0 S; use the node form" in doubt.message
    for array, cells in zip(circuit.arrays, probed_cells(circuit, 12, np.random.default_rng(0)), strict=True):
        assert 0 < len(cells) <= 12
        assert (array.conductances[tuple(cells.T)] > 0).all()


def test_a_gradient_of_nothing_but_zeros_has_no_relative_error() -> None:
    zeros = tuple(np.zeros(a.shape) for a in AMPLIFIED.arrays)
    for row in Truth("zeros", zeros, any_scale=True).compare("", "", AMPLIFIED, zeros):
        assert np.isnan(row.relative_error)
        assert np.isnan(row.cosine)


def test_nudges_that_drown_are_named_with_volts_floor_and_cure(amplified: list) -> None:
    assert not [row for row in amplified if isinstance(row, Doubt)]
    named = NamedChip("nodal", NodalChip(AMPLIFIED, tolerance=1e-11))
    faint = EquilibriumPropagation(AMPLIFIED, COST, beta=1e-12)
    (doubt,) = audit_rule(subject(AMPLIFIED), "faint", faint, named, [])
    assert doubt.shift < 100 * doubt.floor < 1e-9
    assert "solver's floor of" in doubt.message
    assert doubt.message.endswith("; raise rule.beta")
    clamped = CoupledLearning(AMPLIFIED, COST, eta=1e-3)
    (doubt,) = audit_rule(subject(AMPLIFIED, adc_step=0.25), "clamped", clamped, named, [])
    assert doubt.floor == 0.25
    assert "below one step of the converter, 250 mV; raise rule.eta, or read with more bits" in doubt.message


@pytest.mark.ngspice
def test_in_ngspice_errors_grow_with_its_tolerances(amplified: list) -> None:
    circuit = AMPLIFIED
    found = list(audit_gradients(subject(circuit, beta=1e-4), ngspice=True))
    for rule in ("equilibrium-propagation centered current", "hardware-linearization", "coupled-learning one-sided"):
        assert {row.chip for row in found if isinstance(row, GradientError) and row.rule == rule} == {
            "nodal",
            "ngspice",
        }
    (only,) = (row for row in found if isinstance(row, Curve) and row.chip == "ngspice")
    assert only.knob == "reltol"
    assert only.values == (9.9e-4, 1e-4, 1e-5, 1e-6, 1e-7)
    assert only.errors[0] > 10 * only.errors[-1]
    assert only.errors[-1] < 1e-2
    faint = [row for row in found if isinstance(row, Doubt)]
    assert {row.chip for row in faint} == {"ngspice"}
    assert all("or lower chip.reltol and chip.vntol" in row.message for row in faint)


def test_the_command_reports_as_one_object_and_as_a_picture(tmp_path: Path) -> None:
    found = audited("xor", "--chip", "nodal", "--to", str(tmp_path / "audit.png"))
    assert (tmp_path / "audit.png").read_bytes().startswith(PNG)
    assert set(found) == {"source", "gradients", "curves", "warnings"}
    assert found["source"] == "xor"
    assert found["warnings"] == []
    for row in found["gradients"]:
        assert set(row) == {"rule", "chip", "crossbar", "relative_error", "cosine", "against"}
        assert row["chip"] == "nodal"
        assert row["crossbar"] in {"w1", "w2"}
    assert "equilibrium-propagation centered current" in {row["rule"] for row in found["gradients"]}
    counts = [(row["knob"], {len(row[key]) for key in ("values", "errors", "cosines")}) for row in found["curves"]]
    assert counts == 2 * [("β", {9}), ("η", {9})] + 5 * [("b", {9})]


def test_the_command_prints_a_table_and_warns_of_a_nudge_that_drowns() -> None:
    options = ["--chip", "nodal", "--set", "rule.beta=1e-18", "--adc-bits", "12", "--adc-range", "5"]
    result = CliRunner().invoke(main, ["audit", "xor", *options])
    assert result.exit_code == 0
    assert "simultaneous-perturbation" in result.stdout
    assert "finite differences, scaled" in result.stdout
    assert "within 100 × of the solver's floor" in result.stderr
    assert "equilibrium-propagation centered spring on nodal: the nudge moves the cells' nodes by" in result.stderr
    assert "below one step of the converter, 1.22 mV; raise rule.beta, or read with more bits" in result.stderr
    drowned = audited("xor", *options)["warnings"]
    assert set(drowned[0]) == {"rule", "chip", "message", "shift", "floor"}


def test_a_run_is_audited_as_it_was_trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    quick = ["--chip", "nodal", "--set", "training.epochs=2", "--run", "run"]
    assert CliRunner().invoke(main, ["train", "xor", *quick]).exit_code == 0
    run, fresh = audited("run"), audited("xor", "--chip", "nodal")
    assert run["source"] == "run"
    adjoint = [row for row in run["gradients"] if row["rule"] == "adjoint"]
    assert all(row["relative_error"] < 1e-8 for row in adjoint)
    assert run["gradients"] != fresh["gradients"]
    refused = CliRunner().invoke(main, ["audit", "run", "--set", "network.hidden=[3]"])
    assert refused.exit_code == 1
    assert "network.hidden = [3] would make another network than the trained one" in refused.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--adc-bits", "8"], "--adc-bits and --adc-range belong together"),
        (["--to", "missing/audit.png"], "there is no folder missing"),
        (["--samples", "0"], "Invalid value for '--samples'"),
        (["--set", "rule.bta=3"], "unknown key 'rule.bta'"),
    ],
)
def test_wrong_usage_exits_with_2(arguments: list[str], message: str) -> None:
    result = CliRunner().invoke(main, ["audit", "xor", *arguments])
    assert result.exit_code == 2
    assert message in result.stderr


def test_samples_and_cells_are_as_many_as_asked_for() -> None:
    one = subject(AMPLIFIED, cells=3)
    assert [len(cells) for cells in probed_cells(AMPLIFIED, one.cells, np.random.default_rng(0))] == [3, 3, 3]
    few = replace(one, batch=random_batch(AMPLIFIED, samples=1))
    assert worst(list(audit_gradients(few, ngspice=False, curves=False)), "adjoint", "finite differences") < 1e-8


def test_a_cascade_is_audited_by_the_rules_that_take_it(tmp_path: Path) -> None:
    arguments = ["audit", "moons", "--chip", "nodal", "--set", "network.hidden=[3, 3]", "--json"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    rows = json.loads(result.stdout)["gradients"]
    assert {row["rule"].split()[0] for row in rows} == {
        "adjoint",
        "asymmetric-equilibrium-propagation",
        "analytical-gradient",
        "hardware-linearization",
        "frequency-propagation",
        "node-perturbation",
        "finite-differences",
        "simultaneous-perturbation",
    }
    exact = [row for row in rows if row["rule"] in ("adjoint", "hardware-linearization", "frequency-propagation")]
    assert all(row["relative_error"] < 1e-7 for row in exact)


def test_selectors_are_audited_by_the_rule_that_ignores_that_they_are_one_way() -> None:
    """Its bias is that of `tests.chip.test_selectors`; rules that refuse the circuit are not listed."""
    found = list(audit_gradients(replace(subject(selected(5.0)), beta=1e-8, step=1e-9), ngspice=False))
    rules = {row.rule for row in found if isinstance(row, GradientError)}
    label = "equilibrium-propagation, one way ignored,"
    assert {rule for rule in rules if rule.startswith("equilibrium")} == {
        f"{label} {variant} {nudging}" for variant in Variant for nudging in Nudging
    }
    assert not any(rule.startswith("coupled") for rule in rules)
    assert 0.005 < worst(found, f"{label} centered current") < 0.05
    assert worst(found, "hardware-linearization") < 1e-8
