"""Compiled loops of the nodal solver: the same voltages as NumPy's, and machine code that nobody else can bring."""

import logging
import math
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.chip.nodal import compiled, newton, samplewise
from harness.chip.nodal.loops import elementary, equations, kernel
from harness.circuit import GROUND, Circuit, Network, Output, Phase, Reduction, Resistor, SettlingJob, VoltageSource
from harness.devices.diode import JunctionLaw, current_and_slope
from harness.errors import ChipError, ConvergenceError
from harness.measurement import Clamp, Drive, Injection, Spring
from tests.chip.test_newton import left_over, network, settling_of, undriven
from tests.conftest import kendall, random_batch, scellier


def random_job(rng: np.random.Generator, size: int, samples: int, *, reciprocal: bool = True) -> SettlingJob:
    """Three phases of a random graph, with diodes to rails and between nodes, and outputs at nodes and rails."""
    joined = np.triu(rng.uniform(0, 1, (size, size)) * (rng.random((size, size)) < 0.4), 1)
    joined = joined + joined.T * (1 if reciprocal else rng.uniform(0.5, 1, (size, size)))
    conductance = np.diag(rng.uniform(0.1, 1, size) + joined.sum(axis=1)) - joined
    conductance *= 10.0 ** rng.uniform(-5, 0)
    emission, saturation = rng.uniform(1, 2), 10.0 ** rng.uniform(-12, -6)
    ends = [(int(a), int(b), saturation, emission) for a, b in rng.integers(0, size, (size // 3, 2)) if a != b]
    ends += [(int(a), size, saturation, emission) for a in rng.integers(0, size, size)]
    ends += [(size + 1, int(b), 2 * saturation, emission) for b in rng.integers(0, size, size)]
    net = network(conductance, ends, [(0, 1), (2, size)])
    amperes = np.abs(conductance).max()
    currents = rng.normal(scale=amperes, size=(samples, size))
    rails, nothing = np.tile([0.5, -0.4], (samples, 1)), np.zeros((samples, 2))
    free = Phase("free", currents, rails, nothing, 0.0)
    pulled = replace(free, name="pulled", pushed=amperes * rng.normal(size=(samples, 2)), spring=0.1 * amperes)
    held = replace(free, name="held", clamped=rng.normal(scale=0.3, size=(samples, 2)))
    return SettlingJob(net, (free, pulled, held))


@given(seed=st.integers(0, 2**32), size=st.integers(4, 12), reciprocal=st.booleans())
@settings(deadline=None, max_examples=40)
def test_loops_and_numpy_find_the_same_voltages(seed: int, size: int, reciprocal: bool) -> None:
    job = random_job(np.random.default_rng(seed), size, 3, reciprocal=reciprocal)
    assert samplewise.suits(job.network.topology)
    np.testing.assert_allclose(newton.settle(job, 1e-9), newton.settle(job, 1e-9, by_batch=True), rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("circuit", [kendall([4]), kendall([5, 4], 1), scellier([4, 3])])
def test_loops_and_numpy_agree_on_layered_networks_under_every_nudge(circuit) -> None:  # type: ignore[no-untyped-def]
    batch = random_batch(circuit, 6)
    nudges = [None, Spring(0.05, batch.targets), Spring(-0.02, batch.targets), Injection(0.1 * batch.targets)]
    drives = [Drive(batch.inputs, nudge, str(k)) for k, nudge in enumerate([*nudges, Clamp(batch.targets)])]
    drives.append(Drive(2 * batch.inputs, None, "other inputs"))
    job = Reduction(circuit).reduce(circuit.conductances).settling(drives)
    found = newton.settle(job, 1e-9)
    np.testing.assert_allclose(found, newton.settle(job, 1e-9, by_batch=True), atol=1e-12)
    assert left_over(SettlingJob(job.network, job.phases[:4]), found[:, :4]) < 1e-10


@given(seed=st.integers(0, 2**32))
@settings(deadline=None, max_examples=20)
def test_who_else_is_in_the_batch_does_not_show_in_a_bit(seed: int) -> None:
    rng = np.random.default_rng(seed)
    job = random_job(rng, 8, 7)
    whole = newton.settle(job, 1e-9)
    chosen = slice(*sorted(rng.choice(8, 2, replace=False).tolist()))
    np.testing.assert_array_equal(newton.settle(job.rows(chosen), 1e-9), whole[chosen])


def test_arrays_of_every_kind_are_taken() -> None:
    """Numbers of half the size or none behind the point, that may not be written, in any order, and none at all."""
    job = random_job(np.random.default_rng(1), 6, 4)
    free, _, held = job.phases
    pulled = replace(free, name="pulled", pushed=np.ones((4, 2), np.float32), spring=1)
    held = replace(held, clamped=np.zeros((4, 2), int))
    currents = np.asfortranarray(free.currents)
    currents.flags.writeable = False
    turned = SettlingJob(
        Network(np.asfortranarray(job.network.conductance), job.network.topology),
        tuple(replace(phase, currents=currents) for phase in (free, pulled, held)),
    )
    plain = (free, replace(pulled, pushed=np.ones((4, 2)), spring=1.0), replace(held, clamped=np.zeros((4, 2))))
    np.testing.assert_array_equal(newton.settle(turned, 1e-9), newton.settle(SettlingJob(job.network, plain), 1e-9))
    assert newton.settle(turned.rows(slice(0)), 1e-9).shape == (0, 3, 6)


def test_a_network_without_unknowns_is_settled() -> None:
    parts = (VoltageSource("v", "a", 1.0), Resistor("r", "a", GROUND, 1.0))
    net = Reduction(Circuit("held", parts, (Output("out", "a"),))).reduce(()).network
    assert net.size == 0
    assert newton.settle(undriven(net, np.zeros((3, 0)), np.ones((3, net.topology.rails))), 1e-9).shape == (3, 1, 0)


def stack_of(jobs: list[SettlingJob]) -> SettlingJob:
    """One settling of networks that differ in conductances, drives and springs."""
    topology = jobs[0].network.topology
    phases = []
    for together in zip(*(job.phases for job in jobs), strict=True):
        arrays = {name: np.stack([getattr(phase, name) for phase in together]) for name in ("pushed", "rails")}
        clamped = None if together[0].clamped is None else np.stack([phase.clamped for phase in together])  # type: ignore[misc]
        springs = np.array([phase.spring for phase in together])[:, None, None]
        currents = np.stack([phase.currents for phase in together])
        phases.append(replace(together[0], currents=currents, clamped=clamped, spring=springs, **arrays))  # type: ignore[arg-type]
    return SettlingJob(Network(np.stack([job.network.conductance for job in jobs]), topology), tuple(phases))


def several(count: int) -> list[SettlingJob]:
    job = random_job(np.random.default_rng(5), 7, 4)
    rng, jobs = np.random.default_rng(6), []
    for _ in range(count):
        factor = rng.uniform(0.5, 2)
        phases = tuple(replace(p, spring=factor * p.spring, currents=factor * p.currents) for p in job.phases)
        jobs.append(SettlingJob(Network(factor * job.network.conductance, job.network.topology), phases))
    return jobs


def test_a_stack_of_networks_is_settled_as_each_is() -> None:
    jobs = several(3)
    found = newton.settle_stack(stack_of(jobs), 1e-9)
    np.testing.assert_array_equal(found, [newton.settle(job, 1e-9) for job in jobs])


@pytest.mark.parametrize("own", [0, 2**20])
def test_many_networks_are_settled_as_each_is(own: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """More samples than are settled in step, of one network or of many: plain Python finds the same bits."""
    monkeypatch.setattr(kernel, "_MOST_OWN", own)
    monkeypatch.setattr(compiled, "settle", lambda: kernel.settle)
    jobs = several(9)
    expected = [newton.settle(job, 1e-9) for job in jobs]
    np.testing.assert_array_equal(newton.settle_stack(stack_of(jobs), 1e-9), expected)


def test_plain_python_and_machine_code_find_the_same_voltages(monkeypatch: pytest.MonkeyPatch) -> None:
    job = random_job(np.random.default_rng(8), 7, 3)
    found = newton.settle(job, 1e-9)
    monkeypatch.setattr(compiled, "settle", lambda: kernel.settle)
    np.testing.assert_allclose(newton.settle(job, 1e-9), found, rtol=0, atol=1e-14)


def test_what_does_not_settle_in_a_stack_is_named() -> None:
    """The first of the samples, whichever phase it fails in, whoever fails beside it."""
    jobs = several(3)
    jobs[1].phases[2].currents[2] = np.nan
    jobs[1].phases[0].currents[3] = np.nan
    jobs[2].phases[0].currents[0] = np.nan
    with pytest.raises(ConvergenceError, match="sample 2, held phase: Newton's method did not settle") as caught:
        newton.settle_stack(stack_of(jobs), 1e-9)
    assert (caught.value.settling, caught.value.sample) == (1, 2)


def test_a_stack_of_large_networks_is_settled_as_each_is() -> None:
    job = settling_of(scellier([40, 40]), 2)
    assert not samplewise.suits(job.network.topology)
    np.testing.assert_allclose(newton.settle_stack(stack_of([job, job]), 1e-9)[1], newton.settle(job, 1e-9), atol=1e-12)


def test_singular_equations_name_the_phase() -> None:
    net = network(np.zeros((2, 2)), [(0, 2, 1e-6, 1.0)], [(0, 1)])
    with pytest.raises(ChipError, match="free phase: the equations are singular in floating point"):
        newton.settle(undriven(net, np.ones((1, 2)), np.zeros((1, 1))), 1e-9)


def test_the_compiled_law_is_that_of_the_diodes_to_the_last_bits() -> None:
    rng = np.random.default_rng(0)
    volts = np.concatenate(
        [rng.uniform(-5, 5, 2000), 10.0 ** rng.uniform(-12, 3, 500), -(10.0 ** rng.uniform(-9, 3, 500))]
    )
    saturation, scale = 10.0 ** rng.uniform(-18, -3, len(volts)), 10.0 ** rng.uniform(-3, 0.4, len(volts))
    found = np.array([elementary.conducted(*one) for one in zip(volts, saturation, scale, strict=True)])
    expected = np.stack(current_and_slope(volts, saturation, scale), axis=1)
    size = saturation * np.exp(np.clip(volts / scale, -3, 600)) + np.abs(expected[:, 0])  # of what is subtracted
    np.testing.assert_array_less(np.abs(found[:, 0] - expected[:, 0]), 8 * np.finfo(float).eps * size)
    np.testing.assert_allclose(found[:, 1], expected[:, 1], rtol=1e-14)


@given(st.floats(-700, 700))
@settings(deadline=None)
def test_exponential_and_logarithm_are_right_to_the_last_place(x: float) -> None:
    power = math.exp(x)
    assert abs(elementary.exponential(x) - power) <= math.ulp(power)
    assert abs(elementary.logarithm(power) - math.log(power)) <= math.ulp(math.log(power))


@given(new=st.floats(-50, 50), old=st.floats(-5, 5), saturation=st.floats(-15, -3), scale=st.floats(-3, 0.3))
@settings(deadline=None)
def test_junctions_are_limited_as_elsewhere(new: float, old: float, saturation: float, scale: float) -> None:
    law = JunctionLaw(np.array(10.0**saturation), np.array(10.0**scale))
    found = equations.limited(new, old, 10.0**saturation, 10.0**scale)
    assert found == pytest.approx(float(law.limited(np.array(new), np.array(old))), rel=1e-14, abs=1e-300)


# what is kept on disk: of a small function in the place of the solver, which Numba compiles in no time


SOURCE = """
from harness.chip.nodal.loops.elementary import conducted

def twice(x):
    return 2.0 * x

def settle(x):
    return twice(conducted(x, 1.0, 1.0)[1])
"""


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which a small function's machine code is kept."""
    module = ModuleType("small")
    module.__file__ = str(tmp_path / "small.py")
    Path(module.__file__).write_text(SOURCE)
    exec(compile(SOURCE, module.__file__, "exec"), vars(module))
    monkeypatch.setattr(compiled, "_LOOPS", (elementary, module))
    monkeypatch.setattr(compiled, "_signature", lambda numba: numba.float64(numba.float64))
    monkeypatch.setattr(compiled, "_folders", lambda: iter([tmp_path / "kept" / "loops-1"]))
    return tmp_path / "kept" / "loops-1"


def made() -> Callable[[float], float]:
    compiled._loaded.cache_clear()
    try:
        return compiled.settle()  # type: ignore[return-value]
    finally:
        compiled._loaded.cache_clear()


def test_machine_code_is_compiled_once(small: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    expected = pytest.approx(2 * float(current_and_slope(np.array(0.3), np.array(1.0), np.array(1.0))[1]))
    first = made()
    assert (first(0.3), sum(first.stats.cache_hits.values())) == (expected, 0)  # type: ignore[attr-defined]
    assert f"the nodal chip is compiled, once, into {small}" in caplog.messages
    caplog.clear()
    again = made()
    assert (again(0.3), sum(again.stats.cache_hits.values())) == (expected, 1)  # type: ignore[attr-defined]
    assert caplog.messages == []
    with pytest.raises(TypeError, match="No matching definition"):
        again("0.3")  # type: ignore[arg-type]


@pytest.mark.parametrize("suffix", ["nbi", "nbc"])
@pytest.mark.parametrize("content", [b"", b"\x80\x05not a pickle"])
def test_damaged_machine_code_is_made_anew(small: Path, suffix: str, content: bytes) -> None:
    made()
    (file,) = small.rglob(f"*.{suffix}")
    file.write_bytes(content)
    assert made()(0.3) > 0
    assert sum(made().stats.cache_hits.values()) == 1  # type: ignore[attr-defined]


def test_machine_code_of_former_sources_is_removed(small: Path) -> None:
    former, foreign = small.with_name("loops-0"), small.with_name("else")
    for folder in (former, foreign):
        folder.mkdir(parents=True)
    made()
    assert (small.is_dir(), former.exists(), foreign.is_dir()) == (True, False, True)


def in_a_file(folder: Path) -> None:
    folder.parent.write_text("a file")


def open_to_all(folder: Path) -> None:
    folder.mkdir(parents=True)
    folder.chmod(0o777)


def behind_a_link(folder: Path) -> None:
    folder.parent.mkdir()
    (folder.parent / "else").mkdir(mode=0o700)
    folder.symlink_to("else")


def of_another(folder: Path) -> None:
    folder.mkdir(parents=True)
    os.chown(folder, 4321, 4321)


@pytest.mark.parametrize("lay", [in_a_file, open_to_all, behind_a_link, of_another])
def test_where_others_may_write_nothing_is_kept(
    small: Path, lay: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    if lay is of_another and os.geteuid():
        pytest.skip("only root gives files away")
    lay(small)
    assert made()(0.3) > 0
    assert [*small.parent.rglob("*.nb?")] == []
    assert "the nodal chip is compiled in every process anew" in caplog.text


def test_a_relative_folder_is_no_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert not compiled._usable(Path("kept"))
    assert [*tmp_path.iterdir()] == []


def test_a_full_disk_costs_no_result(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from numba.core.caching import IndexDataCacheFile

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(IndexDataCacheFile, "save", full)
    assert made()(0.3) > 0


def test_numba_that_cannot_be_imported_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numba", None)
    with pytest.raises(ChipError, match="the nodal chip needs Numba, which cannot be imported"):
        made()


def test_it_starts_in_a_directory_that_was_removed(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert made()(0.3) > 0
    with pytest.raises(FileNotFoundError):
        Path.cwd()


HOSTILE = """
import sys
import numpy as np
from harness.chip.nodal import compiled
assert "numba" not in sys.modules
compiled.settle()
import numba
print(numba.config.CACHE_DIR, numba.config.CACHE_LOCATOR_CLASSES, numba.config.DEBUG_CACHE)
"""


@pytest.mark.parametrize("by", ["file", "variables"])
def test_a_hostile_folder_has_no_say(tmp_path: Path, by: str) -> None:
    """Neither the settings in it nor the pickles beside it, nor the module that it names."""
    compiled.settle()
    (folder,) = (folder for folder in compiled._folders() if any(folder.rglob("*.nbi")))
    evil = tmp_path / "evil"
    for file in folder.rglob("*.nb?"):
        planted = evil / file.relative_to(folder)
        planted.parent.mkdir(parents=True, exist_ok=True)
        planted.write_bytes(b"cos\nsystem\n(S'touch caught'\ntR.")
    (tmp_path / "locator.py").write_text("open('caught', 'w').close()\nclass Locator: ...\n")
    said = {"cache_dir": str(evil), "cache_locator_classes": "locator.Locator", "debug_cache": "1"}
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    if by == "file":
        (tmp_path / ".numba_config.yaml").write_text("".join(f"{key}: {value}\n" for key, value in said.items()))
    else:
        env |= {f"NUMBA_{key.upper()}": value for key, value in said.items()}
    done = subprocess.run(
        [sys.executable, "-c", HOSTILE], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "0", "")
    assert not (tmp_path / "caught").exists()


def test_numba_is_not_imported_before_a_network_is_solved() -> None:
    code = "import sys, harness.chip.nodal.chip, harness.chip.ngspice.chip; assert 'numba' not in sys.modules"
    assert subprocess.run([sys.executable, "-W", "error", "-c", code], check=False).returncode == 0


@pytest.mark.ngspice
def test_ngspice_and_its_estimates_do_without_numba() -> None:
    code = """
import sys
from harness.chip.ngspice import worker
from harness.netlist.tolerances import Tolerances
from tests.chip.test_newton import settling_of
from tests.conftest import kendall
job = settling_of(kendall([40]), 2)
assert worker._estimate(job) is not None
worker.settle_in_ngspice(job, Tolerances())
assert "numba" not in sys.modules
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
