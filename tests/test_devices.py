"""Memristors, pulses, presets and measured curves: closed forms, ngspice's transient analysis, and refusals."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.chip.session import open_session
from harness.devices.measured import fit, measured_response, read_curves
from harness.devices.memristors import (
    LinearIonDrift,
    Memristor,
    StanfordGap,
    Vteam,
    Window,
    Yakopcic,
    after_pulse,
    pulse_curve,
)
from harness.devices.presets import PRESETS, Preset, ad5272, find_preset, mcp4251
from harness.devices.pulses import (
    ExponentialStep,
    LinearStep,
    PulseCurves,
    PulseResponse,
    SoftBounds,
    WritePulse,
    curvature_of_label,
    label_of_curvature,
    pulse_table,
    spread,
)
from harness.errors import CircuitError, DataError, SimulatorError
from harness.netlist.memristor import MemristorModel, PulseTrain, pulse_train_lines, sampled, subcircuit
from harness.netlist.settings import Tolerances

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
)
MODELS = (LinearIonDrift(), Yakopcic(), Vteam(), StanfordGap())
RESPONSES: tuple[PulseResponse, ...] = (
    LinearStep(1e-6, 1e-4, 2e-6, 3e-6),
    SoftBounds(1e-6, 1e-4, 0.05, 0.1),
    ExponentialStep(1e-6, 1e-4, 50, 40, 3.0, -2.0),
    PulseCurves(np.array([1e-6, 5e-6, 2e-5, 1e-4]), np.array([1e-4, 3e-5, 1e-6])),
    pulse_table(Vteam(), WritePulse(-0.4, 4e-12), WritePulse(0.4, 4e-10)),
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

    def flux(x: np.ndarray) -> np.ndarray:
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
        (lambda: LinearStep(1e-4, 1e-6, 1e-6, 1e-6), r"bounds 100 µS and 1 µS must be .* lower one first"),
        (lambda: SoftBounds(1e-6, 1e-4, 0, 0.1), r"fraction up 0 must be above 0"),
        (lambda: ExponentialStep(1e-6, 1e-4, 0, 9, 1, 1), r"0 pulses up must be finite and at least 1"),
        (lambda: PulseCurves(np.array([1e-6, 1e-6]), np.array([2e-6, 1e-6])), r"levels 0 and 1, 1 µS and 1 µS"),
        (lambda: pulse_table(Vteam(), WritePulse(0.4, 1e-9), WritePulse(-0.4, 1e-9)), r"moves no conductance up"),
        (lambda: curvature_of_label(9.5), r"label 9\.5 must lie in ±9"),
        (lambda: RESPONSES[0].pulse(np.ones(1), np.ones(1)), r"pulses of type float64"),  # type: ignore[arg-type]
        (lambda: ad5272(10e3), r"AD5272: 10 kΩ is not made; there are 20 kΩ, 50 kΩ, 100 kΩ"),
        (lambda: find_preset("unobtainium"), r"no device preset 'unobtainium'; there are Ag:a-Si"),
        (lambda: find_preset("Li ECRAM").response(), r"gives no conductances; give g_min and g_max in S"),
    ],
)
def test_wrong_parameters_are_refused_with_value_and_bound(make: object, message: str) -> None:
    with pytest.raises(CircuitError, match=message):
        make()  # type: ignore[operator]


@pytest.mark.parametrize("response", RESPONSES, ids=lambda r: type(r).__name__)
def test_pulses_move_towards_their_bound_and_counts_are_repeated_pulses(response: PulseResponse) -> None:
    low, high = response.bounds
    g = np.linspace(low, high, 41).reshape(1, 41)
    up, down = response.pulse(g, True), response.pulse(g, False)  # type: ignore[arg-type]
    assert (up >= g).all()
    assert (down <= g).all()
    assert (up > g).sum() > 20 < (down < g).sum()
    assert up.max() <= high
    assert down.min() >= low
    counts = np.where(np.arange(41) % 3 == 0, 3, np.where(np.arange(41) % 3 == 1, -2, 0))
    once = g
    for done in range(3):
        once = response.pulse(once, np.where(np.abs(counts) > done, np.sign(counts), 0))
    np.testing.assert_allclose(response.pulse(g, counts), once, rtol=1e-9)
    np.testing.assert_array_equal(response.pulse(g, 0), g)


@pytest.mark.parametrize("model", MODELS, ids=lambda m: type(m).__name__)
def test_a_table_of_a_memristor_agrees_with_its_integration(model: Memristor) -> None:
    up, down, start = {
        "LinearIonDrift": (WritePulse(1.0, 0.02), WritePulse(-1.0, 0.02), 0.1),
        "Yakopcic": (WritePulse(0.5, 1e-5), WritePulse(-0.5, 1e-5), 0.11),
        "Vteam": (WritePulse(-0.4, 12e-12), WritePulse(0.4, 1e-9), 0.1),
        "StanfordGap": (WritePulse(1.4, 1e-9), WritePulse(-1.6, 1e-9), 0.3),
    }[type(model).__name__]
    table = pulse_table(model, up, down)
    volts = [up.volts] * 10
    exact = model.conductance(pulse_curve(model, start, volts, up.seconds))
    g = model.conductance(np.array([start]))
    assert np.abs(table.pulse(g, 10) - exact[-1]).max() < 1e-3 * np.ptp(table.bounds)
    back = model.conductance(after_pulse(model, down.volts, down.seconds, np.array([0.4])))
    single = table.pulse(model.conductance(np.array([0.4])), -1)
    assert np.abs(single - back).max() < 1e-4 * np.ptp(table.bounds)


def test_the_exponential_step_takes_the_whole_range_in_its_number_of_pulses() -> None:
    for curvature in (-4.0, 0.0, 1e-14, 1e-5, 4.0):
        law = ExponentialStep(1e-6, 1e-4, 30, 20, curvature, curvature)
        low, high = np.array([1e-6]), np.array([1e-4])
        np.testing.assert_allclose(law.pulse(low, 30), high, rtol=1e-9)
        np.testing.assert_allclose(law.pulse(high, -20), low, rtol=1e-6)
        share = 0.5 if abs(curvature) < 1e-9 else np.expm1(-curvature / 2) / np.expm1(-curvature)
        np.testing.assert_allclose(law.pulse(low, 15), 1e-6 + 99e-6 * share, rtol=1e-9)


def test_a_steep_exponential_step_is_soft_bounds() -> None:
    fraction = 0.1
    pulses = 400
    curvature = -pulses * np.log(1 - fraction)
    steep = ExponentialStep(1e-6, 1e-4, pulses, pulses, curvature, curvature)
    soft = SoftBounds(1e-6, 1e-4, fraction, fraction)
    g = np.linspace(1e-6, 1e-4, 11)
    for count in (1, -1, 7, -7):
        np.testing.assert_allclose(steep.pulse(g, count), soft.pulse(g, count), rtol=1e-9)


def test_neurosims_labels_agree_with_its_table() -> None:
    """Entries of ``getParamA`` in MLP+NeuroSim's formula.cpp: A over P."""
    table = {0.01: 126.268958, 0.07: 18.037668, 0.13: 9.711575, 0.5: 2.519877, 1.0: 1.251653, 3.19: 0.359450}
    for label, ratio in table.items():
        assert 1 / curvature_of_label(label) == pytest.approx(ratio, rel=1e-4)
        assert 1 / curvature_of_label(-label) == pytest.approx(-ratio, rel=1e-4)
    assert curvature_of_label(0) == 0
    for nu in (-20.0, -1e-5, 0.0, 1e-4, 0.3, 40.0):
        assert curvature_of_label(label_of_curvature(nu)) == pytest.approx(nu, rel=1e-4, abs=1e-9)


def test_spread_of_strength_0_is_the_response_to_the_bit_and_draws_nothing() -> None:
    streams = [np.random.default_rng(seed) for seed in (1, 2)]
    before = [s.bit_generator.state for s in streams]
    for response in RESPONSES:
        g = np.linspace(*response.bounds, 12).reshape(3, 4)
        same = spread(response, (3, 4), device_to_device=0, cycle_to_cycle=0, devices=streams[0], cycles=streams[1])
        np.testing.assert_array_equal(same.pulse(g, 5), response.pulse(g, 5))
    assert [s.bit_generator.state for s in streams] == before


def test_spread_has_the_strengths_asked_for_each_from_its_own_stream() -> None:
    law, shape = LinearStep(0.0, 1e-4, 1e-6, 1e-6), (200, 200)
    g = np.full(shape, 5e-5)

    def moved(device: float, cycle: float, device_seed: int = 1, cycle_seed: int = 2) -> np.ndarray:
        streams = {"devices": np.random.default_rng(device_seed), "cycles": np.random.default_rng(cycle_seed)}
        cells = spread(law, shape, device_to_device=device, cycle_to_cycle=cycle, **streams)
        return cells.pulse(g, 4) - g

    assert moved(0.1, 0).std() / 4e-6 == pytest.approx(0.1, rel=0.03)
    assert moved(0, 0.01).std() / 1e-4 == pytest.approx(0.02, rel=0.03)
    assert moved(0, 0.01).mean() == pytest.approx(4e-6, rel=0.05)
    np.testing.assert_allclose(moved(0.1, 0.01) - moved(0, 0.01), moved(0.1, 0) - 4e-6, atol=1e-15)
    assert not np.array_equal(moved(0.1, 0, device_seed=3), moved(0.1, 0))
    np.testing.assert_array_equal(moved(0.1, 0, cycle_seed=3), moved(0.1, 0))


def test_spread_leaves_cells_without_a_pulse_alone_and_refuses_another_shape() -> None:
    law = LinearStep(0.0, 1e-4, 1e-6, 1e-6)
    streams = {"devices": np.random.default_rng(1), "cycles": np.random.default_rng(2)}
    cells = spread(law, (3,), device_to_device=0.2, cycle_to_cycle=0.1, **streams)
    g = np.array([1e-5, 2e-5, 3e-5])
    after = cells.pulse(g, np.array([0, 2, 0]))
    assert after[0] == g[0]
    assert after[2] == g[2]
    assert after[1] != g[1]
    with pytest.raises(CircuitError, match=r"cells \(2,\) are not the devices drawn, \(3,\)"):
        cells.pulse(g[:2], 1)
    with pytest.raises(CircuitError, match=r"cycle-to-cycle strength -1 must lie in 0…10"):
        spread(law, (3,), device_to_device=0, cycle_to_cycle=-1, **streams)


@pytest.mark.parametrize("preset", PRESETS, ids=lambda p: p.name)
def test_every_preset_has_a_paper_and_makes_a_response(preset: Preset) -> None:
    assert preset.paper
    assert preset.verified
    assert 1971 < preset.year < 2030
    assert set(preset.unverified) <= set(vars(preset))
    law = preset.response(1e-6, 1e-4)
    middle = np.array([5e-5])
    assert law.pulse(middle, 1) > middle > law.pulse(middle, -1)
    assert find_preset(preset.name.upper()) is preset
    if preset.g_min is not None:
        assert preset.response().bounds == pytest.approx((preset.g_min, preset.g_max))


def test_ecram_steps_are_those_of_aihwkits_fit() -> None:
    """Δw = 0.002 (1 − γ w / w_bound) over −0.8276…1.1724, γ 0.1153 up and 0.5085 down, here mapped to 0…2 S."""
    law = find_preset("li ecram").response(0.0, 2.0)
    w = np.array([-0.7, 0.0, 0.9])
    up = 0.002 * (1 - 0.1153 * w / 1.1724)
    down = 0.002 * (1 + 0.5085 * w / 0.8276)
    np.testing.assert_allclose(law.pulse(w + 0.8276, 1) - w - 0.8276, up, rtol=2e-3)
    np.testing.assert_allclose(w + 0.8276 - law.pulse(w + 0.8276, -1), down, rtol=2e-3)


def test_potentiometers_have_the_positions_of_their_data_sheets() -> None:
    law = ad5272(20e3).response()
    assert law.up.size == 1024
    assert law.bounds == pytest.approx((1 / (35 + 20e3 * 1023 / 1024), 1 / 35))
    assert 1 / law.down[513] - 1 / law.down[512] == pytest.approx(19.53, abs=0.01)
    pot = mcp4251(10e3).response(first=1)
    assert pot.up.size == 256
    g = np.array([1 / (75 + 10e3 / 2)])
    np.testing.assert_allclose(1 / pot.pulse(g, -1) - 1 / g, 10e3 / 256, rtol=1e-9)
    np.testing.assert_allclose(pot.pulse(g, 1000), pot.bounds[1])


def written(path: Path, law: ExponentialStep, noise: float = 0.0, cycles: int = 2) -> Path:
    rng = np.random.default_rng(4)
    rows, count = ["pulse,conductance,direction"], 0
    for _ in range(cycles):
        for way, pulses, start in ((1, law.pulses_up, law.g_min), (-1, law.pulses_down, law.g_max)):
            for done in range(int(pulses) + 1):
                g = float(law.pulse(np.array(start), way * done)) + noise * (law.g_max - law.g_min) * rng.normal()
                rows.append(f"{count},{g * 1e6:.9f} µS,{'up' if way > 0 else 'down'}")
                count += 1
    path.write_text("\n".join(rows) + "\n")
    return path


def test_a_fit_recovers_the_law_that_made_the_file(tmp_path: Path) -> None:
    law = ExponentialStep(3e-6, 4e-5, 60, 50, 2.4, 5.0)
    found = fit(written(tmp_path / "a.csv", law))
    assert found.rms_error < 1e-6
    for name in ("g_min", "g_max", "pulses_up", "pulses_down", "curvature_up", "curvature_down"):
        assert getattr(found.response, name) == pytest.approx(getattr(law, name), rel=1e-4)


def test_a_fit_of_noisy_curves_reports_the_noise(tmp_path: Path) -> None:
    law = ExponentialStep(3e-6, 4e-5, 60, 60, 2.4, 5.0)
    found = fit(written(tmp_path / "a.csv", law, noise=0.01))
    assert found.rms_error == pytest.approx(0.01, rel=0.15)
    assert found.cycle_to_cycle == pytest.approx(0.01 * np.sqrt(2), rel=0.15)
    assert found.response.curvature_up == pytest.approx(2.4, rel=0.05)
    assert found.response.curvature_down == pytest.approx(5.0, rel=0.05)


def test_measured_curves_are_followed_level_by_level(tmp_path: Path) -> None:
    law = ExponentialStep(3e-6, 4e-5, 10, 10, 2.4, 5.0)
    table = measured_response(written(tmp_path / "a.csv", law))
    g = np.array([3e-6, 1e-5, 3e-5])
    np.testing.assert_allclose(table.pulse(np.array([3e-6]), 4), law.pulse(np.array([3e-6]), 4), rtol=1e-6)
    np.testing.assert_allclose(table.pulse(g, 1), law.pulse(g, 1), rtol=0.02)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("pulse,conductance\n1,2\n", r"a\.csv: no column direction; a file has the columns pulse, conductance"),
        ("pulse,conductance,direction\n1,1e-6,up\n", r"1 rows of data are fewer than 2"),
        ("pulse,conductance,direction\n1,1e-6,up\n2,,up\n", r"row 3, column conductance: no value"),
        ("pulse,conductance,direction\n1,1e-6,up\n2,x,up\n", r"row 3, column conductance: 'x' is no quantity"),
        ("pulse,conductance,direction\n1,1e-6,up\n2,2 kΩ,up\n", r"row 3, column conductance: '2 kΩ' should be in S"),
        ("pulse,conductance,direction\n1,1e-6,up\n2,-2e-6,up\n", r"row 3, column conductance: -2 µS is below 0 S"),
        ("pulse,conductance,direction\n1,1e-6,up\nx,2e-6,up\n", r"row 3, column pulse: 'x' is no quantity"),
        ("pulse,conductance,direction\n1,1e-6,up\n1,2e-6,up\n", r"row 3, column pulse: 1 does not follow 1"),
        ("pulse,conductance,direction\n1,1e-6,up\n2,2e-6,left\n", r"row 3, column direction: 'left' must be up or"),
        ("pulse,conductance,direction\n1,1e-6,up\n2,9e-6,up\n3,5e-6,up\n", r"row 4, .*: 4 µS down in a run up, more"),
        ("pulse,conductance,direction\n1,1e-6,up\n2,2e-6,up\n", r"column direction: no run of 4 rows up"),
        ("pulse,conductance,direction\n1,1e-6,up\n2,1e-6,up\n", r"column conductance never changes"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_with_row_and_column(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        fit(path)


def test_noise_against_the_direction_is_allowed_up_to_the_bound(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", ExponentialStep(3e-6, 4e-5, 60, 60, 2.4, 5.0), noise=0.01)
    assert [curve.up for curve in read_curves(path)] == [True, False, True, False]
    with pytest.raises(DataError, match="allowed as noise"):
        read_curves(path, noise=0.001)
    with pytest.raises(DataError, match="cannot be read as a CSV file"):
        read_curves(tmp_path / "nowhere.csv")


def test_parameters_are_data() -> None:
    assert replace(Vteam(), on_resistance=70.0).conductance(1.0) == pytest.approx(1 / 70)
