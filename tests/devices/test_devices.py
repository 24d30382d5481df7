"""Pulses, presets and measured curves: closed forms, their sources' figures, and refusals."""

from pathlib import Path

import numpy as np
import pytest

from harness.devices.measured import fit, read_curves
from harness.devices.memristors import Vteam
from harness.devices.presets import POTENTIOMETERS, PRESETS, DeviceType, Potentiometer, Preset, preset
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
from harness.errors import CircuitError, DataError

RESPONSES: tuple[PulseResponse, ...] = (
    LinearStep(1e-6, 1e-4, 2e-6, 3e-6),
    SoftBounds(1e-6, 1e-4, 0.05, 0.1),
    ExponentialStep(1e-6, 1e-4, 50, 40, 3.0, -2.0),
    PulseCurves(np.array([1e-6, 5e-6, 2e-5, 1e-4]), np.array([1e-4, 3e-5, 1e-6])),
    pulse_table(Vteam(), WritePulse(-0.4, 4e-12), WritePulse(0.4, 4e-10)),
)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LinearStep(1e-4, 1e-6, 1e-6, 1e-6), r"bounds 100 µS and 1 µS must be .* lower one first"),
        (lambda: SoftBounds(1e-6, 1e-4, 0, 0.1), r"fraction up 0 must be above 0"),
        (lambda: ExponentialStep(1e-6, 1e-4, 0, 9, 1, 1), r"0 pulses up must be finite and at least 1"),
        (lambda: PulseCurves(np.array([1e-6, 1e-6]), np.array([2e-6, 1e-6])), r"levels 0 and 1, 1 µS and 1 µS"),
        (lambda: pulse_table(Vteam(), WritePulse(0.4, 1e-12), WritePulse(-0.4, 1e-12), 11), r"moves no conductance up"),
        (lambda: curvature_of_label(9.5), r"label 9\.5 must lie in ±9"),
        (lambda: RESPONSES[0].pulse(np.ones(1), np.ones(1)), r"pulses of type float64"),  # type: ignore[arg-type]
        (lambda: preset("AD5272-10"), r"no device preset 'AD5272-10'; did you mean 'AD5272-100'\?"),
        (lambda: preset("unobtainium"), r"no device preset 'unobtainium'; there are Ag:a-Si"),
        (lambda: preset("taox-hfox"), r"no device preset 'taox-hfox'; did you mean 'TaOx/HfOx'\?"),
        (lambda: preset("Li ECRAM").response(), r"gives no conductances; give g_min and g_max in S"),
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


@pytest.mark.parametrize("device", PRESETS, ids=lambda p: p.name)
def test_every_preset_has_a_paper_and_makes_a_response(device: Preset) -> None:
    assert device.paper
    assert device.verified
    assert 1971 < device.year < 2030
    assert set(device.unverified) <= set(vars(device))
    law = device.response(1e-6, 1e-4)
    middle = np.array([5e-5])
    assert law.pulse(middle, 1) > middle > law.pulse(middle, -1)
    assert preset(device.name.upper()) is device
    if device.g_min is not None:
        assert device.response().bounds == pytest.approx((device.g_min, device.g_max))


def test_ecram_steps_are_those_of_aihwkits_fit() -> None:
    """Δw = 0.002 (1 − γ w / w_bound) over −0.8276…1.1724, γ 0.1153 up and 0.5085 down, here mapped to 0…2 S."""
    law = preset("li ecram").response(0.0, 2.0)
    w = np.array([-0.7, 0.0, 0.9])
    up = 0.002 * (1 - 0.1153 * w / 1.1724)
    down = 0.002 * (1 + 0.5085 * w / 0.8276)
    np.testing.assert_allclose(law.pulse(w + 0.8276, 1) - w - 0.8276, up, rtol=2e-3)
    np.testing.assert_allclose(w + 0.8276 - law.pulse(w + 0.8276, -1), down, rtol=2e-3)


def test_presets_cover_every_kind_of_device_and_are_found_by_name() -> None:
    assert len(PRESETS) >= 8
    assert {device.device_type for device in (*PRESETS, *POTENTIOMETERS)} == set(DeviceType)
    assert preset(" ad5272-50 ").device_type is DeviceType.POTENTIOMETER
    assert {device.name for device in PRESETS if device.unverified} == {"GST"}


def test_conductances_are_those_of_the_published_resistances() -> None:
    """R_on and on/off ratio in Jerry et al. 2017."""
    table = {"TaOx/TiO2": (5e6, 2), "PCMO": (23e6, 6.84), "Ag:a-Si": (26e6, 12.5), "AlOx/HfO2": (16.9e3, 4.43)}
    for name, (ohms, ratio) in (table | {"HZO FeFET": (559.28e3, 45)}).items():
        low, high = preset(name).response().bounds
        assert (1 / high, high / low) == pytest.approx((ohms, ratio), rel=1e-3)


def test_potentiometers_have_the_positions_of_their_data_sheets() -> None:
    law = preset("AD5272-20").response()
    assert law.up.size == 1024
    assert law.bounds == pytest.approx((1 / (35 + 20e3 * 1023 / 1024), 1 / 35))
    assert 1 / law.down[513] - 1 / law.down[512] == pytest.approx(19.53, abs=0.01)
    device = preset("MCP4251-10")
    assert isinstance(device, Potentiometer)
    pot = device.response(first=1)
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
    up, down = read_curves(written(tmp_path / "a.csv", law, cycles=1))
    table = PulseCurves(up.conductances, down.conductances)
    g = np.array([3e-6, 1e-5, 3e-5])
    np.testing.assert_allclose(table.pulse(np.array([3e-6]), 4), law.pulse(np.array([3e-6]), 4), rtol=1e-6)
    np.testing.assert_allclose(table.pulse(g, 1), law.pulse(g, 1), rtol=0.02)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "pulse,conductance\n1,2\n",
            r"a\.csv: no column direction; a file of measured pulses has the columns pulse, conductance",
        ),
        ("pulse,conductance,direction\n1,1e-6,up\n", r"1 row of data is fewer than 2"),
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
    with pytest.raises(DataError, match="there is no such file"):
        read_curves(tmp_path / "nowhere.csv")
