"""Memristor models: closed forms, their papers' figures, and ngspice's transient analysis over whole pulse curves."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.chip.ngspice.session import open_session
from harness.devices.memristors import LinearIonDrift, Vteam, Window, Yakopcic
from harness.devices.oxides import DataDriven, StanfordGap
from harness.devices.pulses import WritePulse, pulse_table
from harness.devices.switching import Memristor, after_pulse, pulse_curve
from harness.errors import CircuitError, SimulatorError
from harness.exchange.simulators.base import sampled
from harness.measurement import Array
from harness.netlist.cells.memristor import MemristorModel, PulseTrain, pulse_train_lines, subcircuit
from harness.netlist.tolerances import Tolerances

SWITCHING = (
    pytest.param(LinearIonDrift(), 0.1, 1.0, -1.0, 20e-3, id="strukov"),
    pytest.param(LinearIonDrift(), 0.1, 1.0, -1.0, 60e-3, id="strukov-to-the-bound"),
    pytest.param(LinearIonDrift(window=Window.JOGLEKAR), 0.1, 1.0, -1.0, 40e-3, id="joglekar"),
    pytest.param(LinearIonDrift(window=Window.BIOLEK, window_power=2), 0.1, 1.0, -1.0, 40e-3, id="biolek"),
    pytest.param(LinearIonDrift(window=Window.PRODROMAKIS), 0.1, 1.0, -1.0, 100e-3, id="prodromakis"),
    pytest.param(Yakopcic(), 0.11, 0.5, -0.5, 30e-6, id="yakopcic"),
    pytest.param(Vteam(), 0.1, -0.4, 0.4, 12e-12, id="vteam"),
    pytest.param(Vteam(off_speed=5.0), 0.1, -0.4, 0.04, 12e-12, id="vteam-balanced"),
    pytest.param(StanfordGap(), 0.3, 1.4, -1.6, 1e-9, id="stanford"),
    pytest.param(StanfordGap(), 0.3, 1.3, -1.5, 10e-9, id="stanford-over-the-whole-range"),
    pytest.param(DataDriven(), 0.0402, -0.8, 0.8, 1e-3, id="data-driven"),
)
MODELS = (LinearIonDrift(), Yakopcic(), Vteam(), StanfordGap(), DataDriven())
BIOLEK = LinearIonDrift(window=Window.BIOLEK, window_power=2)
WHOLE = (  # model, start, 30 pulses up and 30 down that cross the range, points of the table, reach up and down
    pytest.param(LinearIonDrift(), 0.0, WritePulse(1.0, 0.03), WritePulse(-1.0, 0.03), 1001, 1.0, id="strukov"),
    pytest.param(BIOLEK, 0.0, WritePulse(1.0, 0.04), WritePulse(-1.0, 0.04), 1001, 1.0, id="biolek"),
    pytest.param(Yakopcic(), 0.0, WritePulse(0.5, 150e-6), WritePulse(-0.5, 150e-6), 201, 1.0, id="yakopcic"),
    pytest.param(Vteam(), 0.0, WritePulse(-0.4, 12e-12), WritePulse(0.4, 6e-9), 1001, 1.0, id="vteam"),
    pytest.param(StanfordGap(), 0.0, WritePulse(1.5, 10e-9), WritePulse(-1.5, 5e-9), 1001, 1.0, id="stanford"),
    pytest.param(DataDriven(), 0.0402, WritePulse(-0.8, 4e-3), WritePulse(0.8, 2e-3), 401, 0.918, id="data-driven"),
)


@pytest.mark.ngspice
@pytest.mark.parametrize(("model", "start", "up", "down", "width"), SWITCHING)
def test_ngspice_follows_the_same_curve_through_20_pulses_up_and_20_down(
    model: MemristorModel, start: float, up: float, down: float, width: float
) -> None:
    volts = (up,) * 20 + (down,) * 20
    train = PulseTrain(volts, width, width, width / 1000)
    lines = pulse_train_lines(model, start, train, Tolerances())
    vectors = ("v(xcell.state)", "i(vdrive)", "v(drive)")
    time, values = open_session().transient(lines, vectors, width / 20, 40 * train.period)
    simulated = model.conductance(sampled(time, values[:, :1], train.rests)[:, 0])
    expected = model.conductance(pulse_curve(model, start, volts, width))
    whole = np.ptp(model.conductance(np.array([0.0, 1.0])))
    assert np.abs(simulated - expected).max() < min(0.02 * whole, 0.02 * np.ptp(expected))
    assert np.ptp(expected) > 1e-4 * whole
    current = model.current(values[:, 2], values[:, 0])
    np.testing.assert_allclose(-values[:, 1], current, atol=1e-5 * np.abs(current).max())


@pytest.mark.ngspice
@pytest.mark.parametrize(("model", "start", "up", "down", "points", "reach"), WHOLE)
def test_tables_follow_ngspice_over_a_full_potentiation_and_a_full_depression(
    model: MemristorModel, start: float, up: WritePulse, down: WritePulse, points: int, reach: float
) -> None:
    """Within 2 % of the range; the TiOx device, at 0.8 V, comes no further than r_n = 10.35 kΩ, 92 % of its range."""
    table = pulse_table(model, up, down, points)
    low, high = table.bounds
    written, simulated = [model.conductance(np.array([start]))], [np.array([start])]
    for pulse, way in ((up, True), (down, False)):
        train = PulseTrain((pulse.volts,) * 30, pulse.seconds, pulse.seconds, pulse.seconds / 1000)
        lines = pulse_train_lines(model, float(np.clip(simulated[-1][-1], 0, 1)), train, Tolerances())
        time, values = open_session().transient(lines, ("v(xcell.state)",), pulse.seconds / 20, 30 * train.period)
        simulated.append(sampled(time, values, train.rests[1:])[:, 0])
        for _ in range(30):
            written.append(table.pulse(written[-1], way))
    share = (np.concatenate(written) - low) / (high - low)
    assert share[0] < 0.03
    assert share[30] > 0.98 * reach
    assert share[60] < 0.05
    expected = (model.conductance(np.concatenate(simulated)) - low) / (high - low)
    assert np.abs(share - expected).max() < 0.02


@pytest.mark.ngspice
def test_a_transient_analysis_follows_a_capacitor() -> None:
    lines = ("* rc", ".options reltol=1e-6", "v1 a 0 pwl(0 0 1n 1)", "r1 a b 1k", "c1 b 0 1u", ".end")
    time, values = open_session().transient(lines, ("v(b)",), 1e-5, 3e-3)
    assert (time[0], time[-1]) == pytest.approx((0, 3e-3))
    np.testing.assert_allclose(values[:, 0], -np.expm1(-time / 1e-3), atol=1e-4)


@pytest.mark.ngspice
def test_a_transient_analysis_that_is_not_understood_is_refused_and_leaves_nothing() -> None:
    with pytest.raises(SimulatorError, match="ngspice failed in a transient analysis") as caught:
        open_session().transient(("* bad", "d1 a 0 nomodel", "v1 a 0 1", ".end"), ("v(a)",), 1e-6, 1e-3)
    caught.value.deck.unlink()  # type: ignore[union-attr]
    with pytest.raises(SimulatorError, match=r"no vector v\(nowhere\)") as caught:
        open_session().transient(("* r", "v1 a 0 1", "r1 a 0 1", ".end"), ("v(nowhere)",), 1e-6, 1e-3)
    caught.value.deck.unlink()  # type: ignore[union-attr]


def test_strukovs_model_follows_its_closed_form_at_constant_voltage() -> None:
    """R_off x − (R_off − R_on) x²/2 grows at the rate µ R_on/D² · v."""
    model = LinearIonDrift()

    def flux(x: Array) -> Array:
        return model.off_resistance * x - (model.off_resistance - model.on_resistance) * x**2 / 2

    start = np.array([0.05, 0.3, 0.6])
    after = after_pulse(model, 0.8, 0.1, start)
    np.testing.assert_allclose(flux(after) - flux(start), 1e-14 * 100 / 1e-8**2 * 0.8 * 0.1, rtol=1e-6)


def test_windows_at_the_values_of_their_papers() -> None:
    def ratio(window: Window, power: float, volts: float, x: float) -> float:
        windowed = LinearIonDrift(window=window, window_power=power)
        return float(windowed.rate(volts, x) / LinearIonDrift().rate(volts, x))

    assert ratio(Window.JOGLEKAR, 2, 1, 0.25) == pytest.approx(1 - 0.5**4)
    assert ratio(Window.BIOLEK, 1, 1, 0.25) == pytest.approx(1 - 0.25**2)
    assert ratio(Window.BIOLEK, 1, -1, 0.25) == pytest.approx(1 - 0.75**2)
    assert ratio(Window.PRODROMAKIS, 3, 1, 0.25) == pytest.approx(1 - 0.8125**3)


def test_a_joglekar_cell_is_stuck_at_its_bound_and_a_biolek_cell_is_not() -> None:
    stuck = after_pulse(LinearIonDrift(window=Window.JOGLEKAR), 1.0, 0.1, np.array([0.0]))
    free = after_pulse(LinearIonDrift(window=Window.BIOLEK), 1.0, 0.1, np.array([0.0]))
    assert stuck[0] == 0
    assert free[0] > 0.01


@pytest.mark.parametrize("model", MODELS, ids=lambda m: type(m).__name__)
@given(volts=st.floats(-1.5, 1.5), state=st.floats(0, 1))
def test_a_memristor_is_passive_stays_inside_and_rests_at_0_v(model: Memristor, volts: float, state: float) -> None:
    assert volts * model.current(volts, state) >= 0
    assert model.rate(0.0, state) == 0
    assert model.rate(volts, 0.0) >= 0
    assert model.rate(volts, 1.0) <= 0
    assert np.isfinite(model.rate(volts, state))


def test_vteam_and_yakopcic_move_only_beyond_their_thresholds() -> None:
    assert Vteam().rate(-0.19, 0.5) == 0 == Vteam().rate(0.019, 0.5)
    assert Vteam().rate(-0.4, 0.5) == pytest.approx(10 / 3e-9)
    assert Vteam().rate(0.04, 0.5) == pytest.approx(-5e-4 / 3e-9)
    assert Yakopcic().rate(0.159, 0.2) == 0 == Yakopcic().rate(-0.149, 0.8)
    assert Yakopcic().rate(0.5, 0.2) == pytest.approx(4000 * (np.exp(0.5) - np.exp(0.16)))


def test_the_data_driven_model_follows_its_closed_form_at_constant_voltage() -> None:
    """exp(k R) approaches exp(k r) exponentially at positive volts, exp(−k R) does at negative ones."""
    model, ohms = DataDriven(), np.array([11e3, 13e3, 15e3])
    state = (17e3 - ohms) / 7e3
    lowest = 29304.82557 - 0.75 * 23692.77225
    for volts, r, k, seconds in ((0.7, 16719.0, 5.11e-4, 2e-3), (-0.75, lowest, 1.17e-3, 1e-4)):
        speed = 743.47 * np.expm1(6.51 * volts) if volts > 0 else -68012.28374 * np.expm1(-0.31645 * volts)
        sign = np.sign(volts)
        left = np.exp(-k * abs(speed) * seconds)
        expected = sign * np.log(np.exp(sign * k * r) + left * (np.exp(sign * k * ohms) - np.exp(sign * k * r))) / k
        expected = np.where(sign * (r - ohms) > 0, expected, ohms)
        np.testing.assert_allclose(model.resistance(after_pulse(model, volts, seconds, state)), expected, rtol=1e-6)


@pytest.mark.parametrize(("volts", "ohms"), [(0.7, 12.6e3), (0.8, 12.6e3), (-0.7, 14.9e3), (-0.8, 14.9e3)])
def test_the_data_driven_model_agrees_with_the_preprints_fit_of_its_device(volts: float, ohms: float) -> None:
    """Equations 5 and 7…10 of arXiv 1703.01167, at the resistances to which they were fitted."""
    if volts > 0:
        published = 4.86e-5 * np.expm1(volts / 0.12) * (17.16e3 + 0.15e3 * volts - ohms) ** 2
    else:
        published = -1.09e-3 * np.expm1(-volts / 0.18) * (ohms - 24.81e3 - 17.91e3 * volts) ** 2
    slope = -7e3 * float(DataDriven().rate(volts, (17e3 - ohms) / 7e3))
    assert 1 / 2.3 < slope / published < 2.3


def test_the_data_driven_model_says_which_figures_have_one_source() -> None:
    assert set(DataDriven.unverified) <= set(vars(DataDriven()))
    assert DataDriven().current(0.5, 1.0) == pytest.approx(0.24 * np.sinh(1.5) / 10e3)


def test_the_stanford_model_at_a_state_worked_out_by_hand() -> None:
    """The equations written out, with the published code's rounded k and q, at a gap of 0.8 nm."""
    state = (1.7 - 0.8) / 1.5
    for volts in (1.3, -1.5):
        current = 1e-3 * np.exp(-0.8 / 0.25) * np.sinh(volts / 0.25)
        kelvin = 298 + abs(volts * current * 2.1e3)
        gamma = 16 - 0.8 * 0.8**3
        energy = 1.3806503e-23 / 1.6e-19 * kelvin
        rate = -10 * np.exp(-0.6 / energy) * np.sinh(gamma * 0.25e-9 / 12e-9 * volts / energy)
        assert StanfordGap().current(volts, state) == pytest.approx(current)
        assert StanfordGap().rate(volts, state) == pytest.approx(-rate / 1.5e-9, rel=0.02)
    assert StanfordGap().rate(1.05, state) == 0 != StanfordGap().rate(1.12, state)


@pytest.mark.ngspice
@pytest.mark.parametrize("model", MODELS, ids=lambda m: type(m).__name__)
@pytest.mark.parametrize("volts", [-0.3, 0.01, 0.3])
def test_an_operating_point_reads_a_memristor_without_moving_it(model: MemristorModel, volts: float) -> None:
    lines = ["* read", *subcircuit(model, "cell"), f"v1 a 0 {volts}", "x1 a 0 cell start=0.3", ".end"]
    ((state, current),) = open_session().operate(lines, ("v(x1.state)", "i(v1)"), [[]])
    assert state == pytest.approx(0.3, rel=1e-9)
    assert -current == pytest.approx(float(model.current(volts, 0.3)), rel=1e-6)


@pytest.mark.parametrize("model", MODELS, ids=lambda m: type(m).__name__)
def test_conductance_grows_with_the_state(model: Memristor) -> None:
    assert (np.diff(model.conductance(np.linspace(0, 1, 50))) > 0).all()


@pytest.mark.parametrize("model", MODELS, ids=lambda m: type(m).__name__)
def test_a_table_of_a_memristor_agrees_with_its_integration(model: Memristor) -> None:
    up, down, start = {
        "LinearIonDrift": (WritePulse(1.0, 0.02), WritePulse(-1.0, 0.02), 0.1),
        "Yakopcic": (WritePulse(0.5, 1e-5), WritePulse(-0.5, 1e-5), 0.11),
        "Vteam": (WritePulse(-0.4, 12e-12), WritePulse(0.4, 1e-9), 0.1),
        "StanfordGap": (WritePulse(1.4, 1e-9), WritePulse(-1.6, 1e-9), 0.3),
        "DataDriven": (WritePulse(-0.8, 1e-4), WritePulse(0.8, 1e-4), 0.1),
    }[type(model).__name__]
    table = pulse_table(model, up, down)
    volts = [up.volts] * 10
    exact = model.conductance(pulse_curve(model, start, volts, up.seconds))
    g = model.conductance(np.array([start]))
    assert np.abs(table.pulse(g, 10) - exact[-1]).max() < 1e-3 * np.ptp(table.bounds)
    back = model.conductance(after_pulse(model, down.volts, down.seconds, np.array([0.4])))
    single = table.pulse(model.conductance(np.array([0.4])), -1)
    assert np.abs(single - back).max() < 1e-4 * np.ptp(table.bounds)


def test_parameters_are_data() -> None:
    assert replace(Vteam(), on_resistance=70.0).conductance(1.0) == pytest.approx(1 / 70)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LinearIonDrift(on_resistance=2e4), r"20 kΩ on and 16 kΩ off must be finite and above 0 Ω"),
        (lambda: LinearIonDrift(window_power=0), r"window power 0 must lie in 0\.5…100"),
        (lambda: Vteam(length=-1e-9), r"VTEAM: length -1 nm must be finite and above 0 m"),
        (lambda: Yakopcic(positive_knee=1.0), r"positive knee 1 must lie between 0 and 1"),
        (lambda: StanfordGap(gap_min=2e-9), r"gaps 2 nm and 1\.7 nm must be above 0 m"),
        (lambda: after_pulse(Vteam(), 1.0, 0.0, np.zeros(1)), r"pulse of 1 V for 0 s: it must be finite"),
        (lambda: PulseTrain((1.0,), 1e-9, 1e-9, 2e-9), r"edge 2 ns, width 1 ns and gap 1 ns must be above 0 s"),
        (lambda: pulse_train_lines(Vteam(), 1.5, PulseTrain((1.0,), 1, 1, 0.1), Tolerances()), "must lie in 0…1"),
        (lambda: DataDriven(off_bound_slope=-1.0), r"slope of the off bound -1 Ω/V must be finite and not below 0"),
    ],
)
def test_wrong_parameters_are_refused_with_value_and_bound(make: object, message: str) -> None:
    with pytest.raises(CircuitError, match=message):
        make()  # type: ignore[operator]
