"""`harness benchmark --ways` and `--scaling`: what is timed does the same work, and the figures fit together."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from harness.chip.ngspice.session import open_session
from harness.chip.nodal import newton
from harness.circuit import Reduction
from harness.cli.main import main
from harness.errors import SimulatorError
from harness.measurement import Drive, Injection, Spring
from harness.netlist.decks import resident
from harness.netlist.tolerances import Tolerances
from harness.studies.benchmark import ways
from harness.studies.benchmark.subjects import practised
from harness.studies.benchmark.ways import ScalingPoint
from tests.conftest import kendall, random_batch, scellier


@pytest.mark.ngspice
@pytest.mark.parametrize("circuit", [kendall([5, 4]), scellier([4])])
def test_the_resident_circuit_settles_where_the_nodal_solver_does(circuit) -> None:  # type: ignore[no-untyped-def]
    batch = random_batch(circuit, 4)
    drives = [
        Drive(batch.inputs),
        Drive(batch.inputs, Spring(0.05, batch.targets), "nudged +β"),
        Drive(batch.inputs, Spring(-0.01, batch.targets), "nudged −β"),
        Drive(batch.inputs, Injection(0.02 * batch.targets), "injected"),
    ]
    settling = Reduction(circuit).reduce(circuit.conductances).settling(drives)
    lines = resident.resident_lines(settling, Tolerances())
    found = open_session().operate(lines, resident.vectors(settling), resident.alterations(settling))
    np.testing.assert_allclose(found.reshape(4, 4, -1), newton.settle(settling, 1e-9), atol=1e-5)


@pytest.mark.ngspice
def test_an_alteration_that_is_not_understood_is_an_error_and_no_old_result_is_served() -> None:
    lines = ["* test", "i1 0 a 1", "r1 a 0 2", ".end"]
    session = open_session()
    np.testing.assert_allclose(session.operate(lines, ("v(a)",), [["alter i1 dc=3"]]), [[6.0]])
    with pytest.raises(SimulatorError, match="ngspice failed at an operating point") as caught:
        session.operate(lines, ("v(a)",), [["alter i1 dc=3"], ["alter nothere dc=4"]])
    caught.value.deck.unlink()  # type: ignore[union-attr]


@pytest.mark.ngspice
def test_the_command_prints_one_object_with_every_figure() -> None:
    result = CliRunner().invoke(main, ["benchmark", "iris", "--ways", "--seconds", "0.2", "--workers", "1", "--json"])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert {
        "samples_per_second",
        "ngspice_share",
        "full_netlist_ratio",
        "alter_op_ratio",
        "nodal_ratio",
        "peak_worker_mb",
        "iterations_per_point",
        "epoch_seconds",
        "microseconds_per_iteration",
    } <= set(found)
    assert 0 < found["ngspice_share"] < 1
    assert found["iterations_per_point"] > 2
    assert found["peak_worker_mb"] > 20
    ratio = found["nodal_samples_per_second"] / found["one_core_samples_per_second"]
    assert found["nodal_ratio"] == pytest.approx(ratio)
    table = CliRunner().invoke(main, ["benchmark", "xor", "--ways", "--seconds", "0.1", "--workers", "1"])
    assert "full netlist, one op per phase" in table.stdout
    assert "peak memory of a worker" in table.stdout


@pytest.mark.ngspice
def test_scaling_draws_a_picture_and_prints_exponents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ways, "SIZES", ((1, 4), (1, 8), (2, 4), (2, 8)))
    monkeypatch.setattr(ways, "FITTED_FROM", 4)
    file = tmp_path / "scaling.png"
    words = ["benchmark", "iris", "--scaling", "--seconds", "0.1", "--to", str(file), "--json"]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert [(p["layers"], p["hidden"]) for p in found["points"]] == [(1, 4), (1, 8), (2, 4), (2, 8)]
    assert set(found["exponents"]) == {"1", "2"}
    assert file.read_bytes().startswith(b"\x89PNG")


def test_an_exponent_is_the_slope_in_a_double_logarithmic_picture() -> None:
    points = [ScalingPoint(1, n, 3e-5 * n**1.25) for n in (50, 100, 200, 400)] + [ScalingPoint(2, 100, 1.0)]
    points[0] = ScalingPoint(1, 50, 1.0)  # below the range of the fit
    assert ways.exponent(points, layers=1) == pytest.approx(1.25)
    assert np.isnan(ways.exponent(points, layers=2))


def test_practice_makes_junctions_conduct_and_repeats_to_the_bit() -> None:
    from harness.experiment.experiment import Experiment

    experiment = Experiment.load("iris")
    first, second = practised(experiment), practised(experiment)
    for a, b, fresh in zip(first, second, experiment.circuit.conductances, strict=True):
        assert a.tobytes() == b.tobytes()
        assert np.abs(a - fresh).max() > 0


def test_other_ways_are_those_of_ngspice() -> None:
    result = CliRunner().invoke(main, ["benchmark", "xor", "--ways", "--set", "chip.kind=nodal", "--seconds", "0.1"])
    assert result.exit_code == 2
    assert "its chip is not ngspice" in result.stderr
