"""Which linear solver computes: what ngspice says of itself, and Sparse 1.3 where KLU finds no solution."""

import logging
import re
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import brentq

from harness.chip.base import SimulatedChip
from harness.chip.ngspice import session as sessions
from harness.chip.ngspice.chip import FullBatchChip, FullNetlistChip, NgspiceChip
from harness.chip.ngspice.session import KLU, SPARSE, BatchDeck, Session, open_session
from harness.chip.nodal.chip import NodalChip
from harness.chip.nodal.unreduced import UnreducedNodalChip
from harness.errors import ConvergenceError, SimulatorError
from harness.experiment.experiment import Experiment
from harness.measurement import Drive
from harness.netlist.tolerances import TIGHT
from harness.training.controller import EpochDone, training
from harness.training.position import Position
from tests.chip.test_nonlinear_cells import LINES, apart, nonlinear, phases
from tests.conftest import kendall, random_batch

pytestmark = [pytest.mark.ngspice, pytest.mark.release]

ONE_RESISTOR = ("* one", "v1 a 0 1", "r1 a b 1", "r2 b 0 1", ".end")
TRAP = "btrap trap 0 i=(v(trap)>0.1) ? 1e3 : -1e3"
"""A current that turns against whatever voltage it makes: no deck with it settles, whatever the solver."""
RELEASED = "rtrap trap 0 1u"
"""With which it does."""


@pytest.fixture
def session() -> Session:
    return open_session()


@pytest.fixture
def poor(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """An ngspice whose first solver settles nothing but what `RELEASED` is part of, and whose second is what it has."""
    second = sessions._OPTIONS[SPARSE] if session.linear_solver == KLU else "* nothing to choose"
    monkeypatch.setitem(session.__dict__, "linear_solver", KLU)
    monkeypatch.setattr(session, "sparse_runs", 0)
    monkeypatch.setattr(sessions, "_OPTIONS", {KLU: TRAP, SPARSE: second})


def solvers_said(session: Session) -> list[str]:
    """The solvers that ngspice has named since its output was cleared, on whichever stream: 42 does so on stderr."""
    said = "\n".join(session._feed.lines("stdout") + session._feed.lines("stderr"))
    return re.findall("Using (.+) as Direct Linear Solver", said)


def announced(session: Session, option: str) -> list[str]:
    """What ngspice says computes a deck with that option line."""
    session._feed.forget_lines()
    session._load([ONE_RESISTOR[0], option, *ONE_RESISTOR[1:]])
    session._command("op")
    said = solvers_said(session)
    session._forget()
    return said


def test_the_solver_is_the_one_that_ngspice_announces(session: Session) -> None:
    if session.version < 42:  # nothing is announced before there was a choice
        assert (session.linear_solver, session.solvers) == (SPARSE, SPARSE)
        assert announced(session, "* no option") == []
        return
    klu = announced(session, sessions._OPTIONS[KLU]) == [KLU]
    assert session.linear_solver == (KLU if klu else SPARSE)
    assert session.solvers == (f"{KLU} or {SPARSE}" if klu else SPARSE)
    assert announced(session, sessions._OPTIONS[SPARSE]) == [SPARSE.upper()]


@pytest.mark.parametrize("analysis", ["sweep", "operate", "transient"])
def test_every_analysis_is_done_with_that_solver(session: Session, analysis: str) -> None:
    said: list[str] = []
    forget = session._forget
    session.__dict__["_forget"] = lambda: (said.extend(solvers_said(session)), forget())
    session.__dict__["_total_iterations"] = lambda: 0  # it clears what was said
    try:
        match analysis:
            case "sweep":
                session.run_batch(BatchDeck(ONE_RESISTOR, "v1", 2, ("v(b)",)))
            case "operate":
                session.operate(ONE_RESISTOR, ("v(b)",), [[]])
            case _:
                session.transient(ONE_RESISTOR, ("v(b)",), 0.1, 1.0)
    finally:
        del session.__dict__["_forget"], session.__dict__["_total_iterations"]
    assert said == ([] if session.version < 42 else [session.linear_solver.replace("Sparse", "SPARSE")])


def test_the_manifest_and_the_doctor_name_it(session: Session) -> None:
    from harness.studies.doctor import examine

    assert Experiment.load("xor", ["chip.kind=ngspice"]).manifest()["chip"]["linear_solver"] == session.linear_solver
    assert examine()[0]["linear solver"] == session.linear_solver


def test_a_run_that_goes_on_with_another_solver_says_so(tmp_path: Path, session: Session) -> None:
    subject = Experiment.load("xor", ["chip.kind=ngspice"])
    run = subject.create_run(tmp_path / "run")
    assert subject.changes_since(run) == []
    file = run.path / "manifest.json"
    file.write_text(file.read_text().replace(f'"{session.linear_solver}"', '"Gauss"'))
    assert subject.changes_since(run) == [f"the linear solver Gauss is now {session.linear_solver}"]


@pytest.mark.usefixtures("poor")
@pytest.mark.parametrize("kind", [NgspiceChip, FullNetlistChip, FullBatchChip])
def test_what_one_solver_does_not_settle_the_other_does(
    kind: type[SimulatedChip], session: Session, caplog: pytest.LogCaptureFixture
) -> None:
    circuit = kendall([3])
    drives = [Drive(random_batch(circuit, 2).inputs)]
    with caplog.at_level(logging.WARNING):
        chip = kind(circuit)
        (reading,) = chip.measure(drives)
    decks = 2 if kind is FullNetlistChip else 1
    assert chip.ledger.sparse_sweeps == session.sparse_runs == decks
    assert caplog.messages == ["KLU found no solution of a deck; Sparse 1.3 did it again, as it will do others"]
    np.testing.assert_allclose(reading.nodes, NodalChip(circuit).measure(drives)[0].nodes, atol=1e-5)


@pytest.mark.usefixtures("poor")
def test_which_solver_computes_depends_on_the_deck_alone(session: Session) -> None:
    trapped = BatchDeck(ONE_RESISTOR, "v1", 2, ("v(b)",))
    released = BatchDeck((*ONE_RESISTOR[:-1], RELEASED, ".end"), "v1", 2, ("v(b)",))
    apart, done = [], []
    for deck in (released, trapped, released, trapped, trapped):
        before = session.sparse_runs
        apart.append(session.run_batch(deck))
        done.append(session.sparse_runs - before)
    assert done == [0, 1, 0, 1, 1]
    assert np.array_equal(apart[1], apart[4])


@pytest.mark.usefixtures("poor")
def test_a_run_counts_the_sweeps_that_were_done_again() -> None:
    subject = Experiment.load("xor", ["chip.kind=ngspice", "training.epochs=1"])
    with subject.open_chip() as chip:
        start = Position(chip.conductances, subject.update.init(chip.conductances))
        parts = (chip, subject.rule, subject.update, subject.cost, subject.data, subject.plan)
        events = list(training(*parts, start))
        asked = chip.ledger.sparse_sweeps
    assert isinstance(events[-1], EpochDone)
    assert events[-1].row.ledger is not None
    assert events[-1].row.ledger.sparse_sweeps == asked > len(events) - 1  # the evaluation's too


@pytest.mark.usefixtures("poor")
def test_operating_points_and_transients_are_done_again_too(session: Session) -> None:
    deck = ("* diode", "v1 a 0 1", "r1 a b 1k", "d1 b 0 dm", ".model dm d(is=1e-6 n=2)", ".end")
    (point,) = session.operate(deck, ("v(b)",), (row for row in [["alter v1 dc=2"]]))
    _, volts = session.transient((deck[0], "v1 a 0 2", *deck[2:]), ("v(b)",), 0.1, 1.0)
    assert session.sparse_runs == 2
    np.testing.assert_allclose(volts[:, 0], point[0], rtol=1e-3)


@pytest.mark.usefixtures("poor")
def test_a_deck_that_is_refused_is_not_tried_again(session: Session) -> None:
    with pytest.raises(SimulatorError, match="ngspice refused a deck") as caught:
        session.run_batch(BatchDeck((*ONE_RESISTOR[:-1], "d1 a 0 nomodel", ".end"), "v1", 2, ("v(b)",)))
    assert TRAP in caught.value.deck.read_text()  # type: ignore[union-attr]
    caught.value.deck.unlink()  # type: ignore[union-attr]


@pytest.mark.usefixtures("poor")
def test_where_no_solver_settles_the_error_names_them_and_keeps_one_deck(
    monkeypatch: pytest.MonkeyPatch, session: Session, tmp_path: Path
) -> None:
    monkeypatch.setitem(sessions._OPTIONS, SPARSE, TRAP)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    circuit = kendall([3])
    with pytest.raises(ConvergenceError, match=rf"no operating point with {KLU} or {SPARSE}\n"):
        NgspiceChip(circuit).measure([Drive(random_batch(circuit, 2).inputs)])
    assert len(list(tmp_path.glob("harness-*.cir"))) == 1
    assert session.sparse_runs == 0


def test_the_usual_pivots_of_klu_are_not_enough_for_cells_with_a_curve_and_ours_are(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    if session.linear_solver != KLU:
        pytest.skip(f"ngspice {session.version_text} has no KLU")
    circuit = nonlinear(kendall([4]), lines=LINES)
    drives = phases(circuit)
    expected = UnreducedNodalChip(circuit).measure(drives)
    for option, enough in ((sessions._OPTIONS[KLU], True), (".options klu", False)):
        monkeypatch.setitem(sessions._OPTIONS, KLU, option)
        chip = FullBatchChip(circuit, tolerances=TIGHT, chunk=2)
        assert apart(chip.measure(drives), expected) < 1e-8
        assert (chip.ledger.sparse_sweeps == 0) == enough


def test_an_iteration_beyond_the_range_of_a_formula_is_no_refusal() -> None:
    """Newton's method overshoots to where sinh is infinite, and gmin stepping comes back."""
    deck = ("* steep", "v1 a 0 5", "r1 a b 100k", "b1 b 0 i=3e-8*sinh(v(b)/3m)", "v2 c 0 0", "r2 c 0 1", ".end")
    (found,) = open_session().run_batch(BatchDeck(deck, "v2", 1, ("v(b)",)))
    assert found[0] == pytest.approx(brentq(lambda v: (5 - v) * 1e-5 - 3e-8 * np.sinh(v / 3e-3), 0, 0.1), rel=1e-4)
