"""Compiled loops of the nodal solver: the same voltages as NumPy's, and machine code that nobody else can bring."""

import json
import logging
import math
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.chip.nodal import newton, samplewise
from harness.chip.nodal.loops import elementary, entry, equations, kernel
from harness.chip.nodal.machine_code import compiled, kept, linked
from harness.circuit import GROUND, Circuit, Network, Output, Phase, Reduction, Resistor, SettlingJob, VoltageSource
from harness.devices.diode import JunctionLaw, current_and_slope
from harness.errors import ChipError, ConvergenceError
from harness.measurement import Clamp, Drive, Injection, Spring
from harness.wording import NOTICE
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


@pytest.mark.parametrize("samples", [1, 3, 21])
@pytest.mark.parametrize(("own", "count"), [(0, 1), (0, 3), (2**20, 3)])
def test_the_memory_that_is_handed_in_is_enough(
    samples: int, own: int, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Plain Python cannot cut more from it than there is."""
    monkeypatch.setattr(kernel, "_MOST", 8)
    monkeypatch.setattr(kernel, "_MOST_OWN", own)
    monkeypatch.setattr(compiled, "settle", lambda: kernel.settle)
    job = random_job(np.random.default_rng(samples), 5, samples, reciprocal=False)
    assert np.isfinite(newton.settle_stack(stack_of([job] * count), 1e-9)).all()


@pytest.mark.parametrize("which", [0, 1])
def test_of_a_quarter_of_the_memory_plain_python_cannot_cut_what_it_needs(
    which: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control of the test above."""
    needed = kernel.needed

    def less(*sizes: Any) -> tuple[int, ...]:
        return tuple(number // (4 if k == which else 1) for k, number in enumerate(needed(*sizes)))

    monkeypatch.setattr(kernel, "needed", less)
    monkeypatch.setattr(compiled, "settle", lambda: kernel.settle)
    with pytest.raises(ValueError, match="cannot reshape"):
        newton.settle(random_job(np.random.default_rng(0), 5, 3, reciprocal=False), 1e-9)


def test_threads_settle_at_the_same_time() -> None:
    jobs = several(8)
    expected = [newton.settle(job, 1e-9) for job in jobs]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda job: newton.settle(job, 1e-9), jobs * 8))
    np.testing.assert_array_equal(found, expected * 8)


def test_an_entry_of_plain_python_finds_the_arrays(monkeypatch: pytest.MonkeyPatch) -> None:
    """The addresses and lengths that the machine code is called with are those of the arrays, each in its place."""
    job = random_job(np.random.default_rng(3), 6, 2)
    expected = newton.settle(job, 1e-9)
    loops = compiled.settle()

    class Plain(linked.Loops):
        def __init__(self) -> None:
            self._entry = self.called  # type: ignore[assignment]

        @staticmethod
        def called(found: Any, _: object, call: int, tolerance: float, iterations: int) -> int:
            found[:] = entry.entry(call, tolerance, iterations)
            return 0

    monkeypatch.setattr(compiled, "settle", Plain)
    np.testing.assert_allclose(newton.settle(job, 1e-9), expected, rtol=0, atol=1e-14)
    assert isinstance(loops, linked.Loops)


@pytest.mark.parametrize("spoilt", [lambda a: a.astype(np.float32), np.asfortranarray, lambda a: a.astype(int)])
def test_arrays_of_other_kinds_are_refused(
    spoilt: Callable[[np.ndarray], np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    loops, job = compiled.settle(), random_job(np.random.default_rng(3), 6, 2)

    def called(*given: Any) -> tuple[int, int, int]:
        return loops(*given[:5], spoilt(given[5]), *given[6:])

    conductance = np.tril(np.ones((6, 6))) + np.eye(6)
    monkeypatch.setattr(compiled, "settle", lambda: called)
    with pytest.raises(TypeError):
        newton.settle(SettlingJob(Network(conductance, job.network.topology), job.phases), 1e-9)


# what is kept on disk: of a small function in the place of the solver, which Numba compiles in no time


SOURCE = """
import math
from harness.chip.nodal.loops.elementary import conducted
from harness.chip.nodal.loops.memory import wholes

def twice(x):
    return 2.0 * x

def entry(call, x, iterations):
    return int(1e6 * twice(conducted(x, 1.0, 1.0)[1])), int(1e6 * math.log1p(x)), wholes(call, (28,))[15 + 7]
"""
EXPECTED = int(2e6 * float(current_and_slope(np.array(0.3), np.array(1.0), np.array(1.0))[1])), int(1e6 * np.log1p(0.3))


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which a small function's machine code is kept."""
    module = ModuleType("small")
    module.__file__ = str(tmp_path / "small.py")
    Path(module.__file__).write_text(SOURCE)
    exec(compile(SOURCE, module.__file__, "exec"), vars(module))
    monkeypatch.setattr(compiled, "_LOOPS", (elementary, module))
    monkeypatch.setattr(kept, "folders", lambda _: iter([tmp_path / "kept" / "loops-1"]))
    return tmp_path / "kept" / "loops-1"


def made() -> linked.Loops:
    compiled._loaded.cache_clear()
    try:
        return compiled.settle()  # type: ignore[return-value]
    finally:
        compiled._loaded.cache_clear()


def works(loops: linked.Loops) -> bool:
    """Whether the small function is what is called."""
    kinds = [np.zeros((3, 1, 1), kind) for kind in linked._KINDS]
    return loops(*kinds[:12], 0.3, 200, *kinds[12:]) == (*EXPECTED, 3)


@pytest.fixture
def without_numba(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Have Numba not installed any more."""
    return lambda: monkeypatch.setitem(sys.modules, "numba", None)


def test_machine_code_is_compiled_once(
    small: Path, without_numba: Callable[[], None], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    assert works(made())
    assert f"they are compiled into {small}" in caplog.messages
    (told,) = (record for record in caplog.records if record.levelno == NOTICE)
    assert "compiled, once, which takes some 15 seconds" in told.getMessage()
    caplog.clear()
    without_numba()
    assert works(made())
    (file,) = small.iterdir()
    assert caplog.messages == [f"read {file}"]
    assert file.stat().st_mode & 0o777 == 0o600


def foreign(heading: dict[str, Any], code: bytes) -> bytes:
    """A file of another processor, whose code is a whole one."""
    return json.dumps(heading | {"processor": "another"}).encode() + b"\n" + code


def unsupported(heading: dict[str, Any], code: bytes) -> bytes:
    features = heading["features"].replace("+", "-", 1)
    return json.dumps(heading | {"features": features}).encode() + b"\n" + code


def of_other_sources(heading: dict[str, Any], code: bytes) -> bytes:
    return json.dumps(heading | {"sources": "loops-2"}).encode() + b"\n" + code


def of_another_llvm(heading: dict[str, Any], code: bytes) -> bytes:
    return json.dumps(heading | {"llvm": "3.1.4"}).encode() + b"\n" + code


def of_another_format(heading: dict[str, Any], code: bytes) -> bytes:
    return json.dumps(heading | {"format": 0}).encode() + b"\n" + code


def cut_short(heading: dict[str, Any], code: bytes) -> bytes:
    return json.dumps(heading).encode() + b"\n" + code[:-1]


def with_one_bit_else(heading: dict[str, Any], code: bytes) -> bytes:
    at = len(code) // 2
    return json.dumps(heading).encode() + b"\n" + code[:at] + bytes([code[at] ^ 1]) + code[at + 1 :]


def without_code(heading: dict[str, Any], _: bytes) -> bytes:
    return json.dumps(heading).encode()


def nothing(*_: object) -> bytes:
    return b""


def a_pickle(*_: object) -> bytes:
    return b"cos\nsystem\n(S'touch caught'\ntR."


def too_large(heading: dict[str, Any], code: bytes) -> bytes:
    long = code + bytes(kept._MOST)
    return json.dumps(heading | {"sha256": sha256(long).hexdigest()}).encode() + b"\n" + long


SPOILT = [foreign, unsupported, of_other_sources, of_another_llvm, of_another_format, cut_short, with_one_bit_else]
SPOILT += [without_code, nothing, a_pickle, too_large]


@pytest.mark.parametrize("spoil", SPOILT)
def test_damaged_and_foreign_machine_code_is_not_loaded_and_made_anew(
    small: Path, spoil: Callable[[dict[str, Any], bytes], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept.usable(small)
    whole = b"code of which nothing is called\n"
    kept.write(small, whole)
    assert kept.read(small) == whole  # the control: what is not spoilt is taken
    (file,) = small.iterdir()
    heading, _, code = file.read_bytes().partition(b"\n")
    file.write_bytes(spoil(json.loads(heading), code))
    assert kept.read(small) is None
    monkeypatch.setattr(compiled, "_object_code", lambda _: b"made anew")
    monkeypatch.setattr(compiled, "_compiled", lambda: "")
    monkeypatch.setattr(linked, "Loops", lambda code: code)
    assert made() == b"made anew"
    assert kept.read(small) == b"made anew"


def writable_by_all(file: Path) -> None:
    file.chmod(0o622)


def linked_from_elsewhere(file: Path) -> None:
    file.replace(file.parent.parent / "elsewhere")
    file.symlink_to(file.parent.parent / "elsewhere")


def given_to_another(file: Path) -> None:
    if os.geteuid():
        pytest.skip("only root gives files away")
    os.chown(file, 4321, 4321)


def a_pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


@pytest.mark.parametrize("lay", [writable_by_all, linked_from_elsewhere, given_to_another, a_pipe])
def test_a_file_that_somebody_else_may_write_is_not_loaded(small: Path, lay: Callable[[Path], None]) -> None:
    kept.usable(small)
    kept.write(small, b"code")
    (file,) = small.iterdir()
    lay(file)
    assert kept.read(small) is None
    kept.write(small, b"code made anew")
    assert kept.read(small) == b"code made anew"


def test_a_mask_that_lets_a_group_write_does_not_keep_code_from_being_kept(small: Path) -> None:
    before = os.umask(0)
    try:
        kept.usable(small)
        kept.write(small, b"code")
    finally:
        os.umask(before)
    assert kept.read(small) == b"code"


def test_code_that_would_call_others_is_refused(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linked, "EXTERNAL", ("log",))
    with pytest.raises(ChipError, match="the nodal chip's machine code would call log1p: Numba was imported before"):
        made()
    assert [*small.iterdir()] == []


def test_a_c_library_without_a_function_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linked, "EXTERNAL", ("no_such_function",))
    with pytest.raises(ChipError, match="needs no_such_function of the C library"):
        linked.linked(b"")


def test_machine_code_of_former_sources_is_removed(small: Path) -> None:
    former, foreign = small.with_name("loops-0"), small.with_name("else")
    for folder in (former, foreign, small):
        folder.mkdir(parents=True)
    kept.write(small, b"code")
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
    assert works(made())
    assert [*small.parent.rglob("*.object")] == []
    assert "the nodal chip is compiled in every process anew" in caplog.text


def test_a_relative_folder_is_no_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert not kept.usable(Path("kept"))
    assert [*tmp_path.iterdir()] == []


def test_a_full_disk_costs_no_result(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(kept, "write_atomic", full)
    assert works(made())
    assert [*small.iterdir()] == []


def test_numba_that_cannot_be_imported_is_an_error(small: Path, without_numba: Callable[[], None]) -> None:
    without_numba()
    with pytest.raises(ChipError, match="the nodal chip needs Numba, which cannot be imported"):
        made()


def test_it_starts_in_a_directory_that_was_removed(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert works(made())
    with pytest.raises(FileNotFoundError):
        Path.cwd()


HOSTILE = """
import os, sys
from harness.chip.nodal.machine_code import compiled
assert "numba" not in sys.modules
before = dict(os.environ)
with compiled._undisturbed():
    import numba
assert os.environ == before
print(numba.config.CACHE_DIR, numba.config.CACHE_LOCATOR_CLASSES, numba.config.DEBUG_CACHE)
"""


@pytest.mark.parametrize("by", ["file", "variables"])
def test_a_hostile_folder_has_no_say(tmp_path: Path, by: str) -> None:
    """Neither the settings in it nor the module that it names."""
    (tmp_path / "locator.py").write_text("open('caught', 'w').close()\nclass Locator: ...\n")
    said = {"cache_dir": str(tmp_path), "cache_locator_classes": "locator.Locator", "debug_cache": "1"}
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


WITHOUT_NUMBA = """
import sys
from harness.cli.main import main
main(["train", "iris", "--chip", "nodal", "--set", "training.epochs=1", "--quiet"], standalone_mode=False)
assert "harness.chip.nodal.machine_code.linked" in sys.modules
print(sorted(name for name in sys.modules if name.partition(".")[0] == "numba"))
"""


def test_a_training_in_the_nodal_chip_does_without_numba_once_machine_code_is_kept(tmp_path: Path) -> None:
    compiled.settle()
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_NUMBA], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.splitlines()[-1:]) == (0, ["[]"]), done.stderr


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
for job in (settling_of(kendall([40]), 2), settling_of(kendall([10]), 32)):
    assert worker.led_together([job])
    assert worker._estimate(job) is not None
    worker.settle_in_ngspice(job, Tolerances(), led=True)
assert "numba" not in sys.modules
"""
    compiled.settle()
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
