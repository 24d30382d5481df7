"""Boards behind lines that lose, delay, garble, split and repeat messages: no number is believed that is not right."""

import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typing_extensions import override

from harness.chip.base import Chip
from harness.chip.bench.chip import BenchChip
from harness.chip.bench.profile import Profile
from harness.chip.bench.virtual.instrument import Instrument
from harness.chip.imperfect.programming import ProgrammedChip, Programming
from harness.chip.imperfect.wrapped import WrappedChip
from harness.chip.nodal.chip import nodal_chip
from harness.devices.pulses import ExponentialStep
from harness.devices.writing import Device
from harness.errors import BoardError, ChipError
from harness.experiment.experiment import Experiment
from harness.measurement import Drive, Reading
from harness.testing.chips import CHIP_CHECKS
from tests.chip.bench.faults import KINDS, Proxy
from tests.chip.bench.threads import PLAIN, PULSED, profile, served

XOR = Experiment.load("xor", ["chip.kind=nodal"])
QUICK = profile(timeout="0.1 s")
FEW = 0.01
"""Probability of each fault, for each message."""


class Heard:
    """A board in front of which its last readings are written down."""

    def __init__(self, board: Instrument) -> None:
        self._board, self.last = board, ""

    def answer(self, line: bytes) -> str | None:
        found = self._board.answer(line)
        if found is not None and b"READ:" in line:
            self.last = found
        return found

    def __getattr__(self, name: str) -> Any:
        return getattr(self._board, name)


class Compared(WrappedChip):
    """A chip on a bench whose every reading must be, to the last digit, what the board has answered last."""

    def __init__(self, chip: BenchChip, heard: Heard) -> None:
        super().__init__(chip)
        self._heard, self.compared = heard, 0

    @override
    def measure(self, drives: Sequence[Drive]) -> tuple[Reading, ...]:
        found = super().measure(drives)
        if drives[0].inputs.size:
            parts = re.sub(r"^FRAM \d+,\w+,", "", self._heard.last).split(";")
            believed = [",".join(map(repr, reading.all_nodes.ravel().tolist())) for reading in found]
            assert believed == parts, f"{drives[0].phase}: what was believed is not what the board has said last"
            self.compared += 1
        return found


class Bench:
    """A board, and a lossy line to it."""

    def __init__(self, proxy: Proxy, board: Instrument, heard: Heard) -> None:
        self.proxy, self.board, self.heard = proxy, board, heard

    def chip(self, told: Profile = QUICK, experiment: Experiment = XOR) -> Compared:
        return Compared(BenchChip(experiment.circuit, told, self.proxy.resource), self.heard)


@contextmanager
def behind(chip: Chip, rates: dict[str, float] | float, seed: int) -> Iterator[Bench]:
    heard: list[Heard] = []

    def listened(board: Instrument) -> Heard:
        heard.append(Heard(board))
        return heard[0]

    with served(chip, listened) as (port, board), Proxy(port, rates, late=0.15, seed=seed) as proxy:
        yield Bench(proxy, board, heard[0])


@pytest.mark.parametrize("check", CHIP_CHECKS, ids=lambda check: check.__name__)
def test_the_contract_holds_over_a_lossy_line(check: Callable[[Callable[[], Chip]], None]) -> None:
    with behind(nodal_chip(XOR.circuit), FEW, 1) as bench:

        def make() -> Chip:
            chip = bench.chip()
            chip.program(XOR.circuit.conductances)
            return chip

        check(make)


@pytest.mark.parametrize("kind", KINDS)
def test_each_fault_is_healed_and_no_wrong_number_believed(kind: str) -> None:
    """One message of six; what is read, written and read back is the same as in this process."""
    rng = np.random.default_rng(0)
    with behind(nodal_chip(XOR.circuit), {kind: 1 / 6}, 2) as bench:
        chip = bench.chip()
        for _ in range(16):
            chip.measure([Drive(rng.uniform(-1, 1, (3, XOR.circuit.channels)))])
            wanted = [rng.uniform(-1e-6, 1e-6, g.shape) for g in chip.conductances]
            before = chip.conductances
            written = chip.adjust(wanted)
            for array, g, old, change in zip(XOR.circuit.arrays, chip.conductances, before, wanted, strict=True):
                np.testing.assert_array_equal(g, np.clip(old + change, array.g_min, array.g_max))
            assert any(change.any() for change in written)
        chip.close()
        assert chip.compared == 16
        assert bench.proxy.happened[kind] >= 5


def test_a_training_over_a_lossy_line_ends_with_the_same_bits(tmp_path: Path) -> None:
    """Exact writes, so that nothing but a wrong number could make a difference."""
    changes = {"training.epochs": 1}
    own = XOR.replace(changes)
    undisturbed = own.create_run(tmp_path / "own")
    own.train(undisturbed)
    (tmp_path / "quick.toml").write_text(PLAIN.format(timeout="0.1 s"))
    with behind(nodal_chip(XOR.circuit), 2 * FEW, 5) as bench:
        place = {"chip.profile": str(tmp_path / "quick.toml"), "chip.resource": bench.proxy.resource}
        over = Experiment.load("xor", ["chip.kind=bench", *(f"{key}='{value}'" for key, value in place.items())])
        run = over.replace(changes).create_run(tmp_path / "over")
        over.replace(changes).train(run)
        assert sum(bench.proxy.happened[kind] for kind in KINDS) >= 3
        assert not bench.board.applied
    with np.load(undisturbed.path / "conductances.npz") as one, np.load(run.path / "conductances.npz") as other:
        assert all(one[name].tobytes() == other[name].tobytes() for name in one.files)


LAW = ExponentialStep(0.0, 1.0, 64, 64, 1.5, 1.5)


@pytest.mark.parametrize("seed", range(2))
def test_no_pulse_is_lost_or_repeated(seed: int) -> None:
    """What is believed to be applied, and what the board has counted, agree; cells are where they are read to be."""
    chip = ProgrammedChip(nodal_chip(XOR.circuit), Programming(Device("test", LAW)), seed=0)
    rng = np.random.default_rng(seed)
    with behind(chip, 5 * FEW, seed) as bench:
        host = BenchChip(XOR.circuit, profile(PULSED, "0.1 s"), bench.proxy.resource)
        for _ in range(4):
            host.adjust([rng.uniform(-4e-6, 4e-6, g.shape) for g in host.conductances])
            for believed, true in zip(host.conductances, chip.conductances, strict=True):
                np.testing.assert_array_equal(believed, true)
            assert host.ledger.pulses == bench.board.cells.counts.sum()
        host.close()


class Unframed:
    """A board that knows no frames."""

    def __init__(self, board: Instrument) -> None:
        self._board = board

    def answer(self, line: bytes) -> str | None:
        found = self._board.answer(line)
        return found.replace(",FRAM", "") if found is not None and line.startswith(b"SYST:CAN?") else found

    def __getattr__(self, name: str) -> Any:
        return getattr(self._board, name)


def test_late_answers_of_a_board_without_frames_are_taken_for_no_other() -> None:
    """Each reading is of other inputs: the answer to one message would be wrong for every other."""
    rng, right, refused = np.random.default_rng(0), 0, list[str]()
    own, rates = nodal_chip(XOR.circuit), {"late": 0.03, "dropped": 0.02}
    with served(nodal_chip(XOR.circuit), Unframed) as (port, _), Proxy(port, rates, late=0.15, seed=4) as proxy:
        while right < 24:
            try:
                host = BenchChip(XOR.circuit, QUICK, proxy.resource)
                while right < 24:
                    drives = [Drive(rng.uniform(-1, 1, (2, XOR.circuit.channels)))]
                    (found,), (true,) = host.measure(drives), own.measure(drives)
                    np.testing.assert_array_equal(found.all_nodes, true.all_nodes)
                    right += 1
                host.close()
            except BoardError as error:  # where the first message on a new line is lost, too
                refused.append(str(error))
        assert proxy.happened["late"] + proxy.happened["dropped"] >= 3
    assert all("answer" in sentence for sentence in refused)


@pytest.mark.parametrize("kind", ["dropped", "garbled", "late"])
def test_what_cannot_be_healed_ends_in_a_sentence_with_grounded_pins(kind: str) -> None:
    short = QUICK.model_copy(update={"timing": QUICK.timing.model_copy(update={"retries": 1})})
    with behind(nodal_chip(XOR.circuit), 0.0, 1) as bench:
        host = bench.chip(short)
        (before,) = host.measure([Drive(np.zeros((1, XOR.circuit.channels)))])
        assert before.outputs.size
        assert bench.board.applied
        bench.proxy.spoil({kind: 1.0})
        with pytest.raises(BoardError, match=r"SENS:DEL .*2 tries, and no answer|cannot be reached|SYST:CAN"):
            host.measure([Drive(np.ones((1, XOR.circuit.channels)))])
        with pytest.raises(BoardError, match=r"could not be grounded .*switch it off by hand"):
            host.close()
        bench.proxy.cut()
        until = time.monotonic() + 5
        while bench.board.applied and time.monotonic() < until:
            time.sleep(0.01)
        assert not bench.board.applied


def test_a_cable_that_is_pulled_at_any_message_is_plugged_in_again() -> None:
    """From the first one of the opening on; where that cannot be healed, a sentence says so and the next try works."""
    drives, refused = [Drive(np.ones((2, XOR.circuit.channels)))], 0
    with behind(nodal_chip(XOR.circuit), 0.0, 1) as bench:
        whole = bench.chip()
        (true,) = whole.measure(drives)
        whole.close()
        messages = bench.proxy.happened.total()
        assert messages > 10
        for number in range(messages):
            bench.proxy.cut_at = bench.proxy.happened.total() + number
            try:
                host = bench.chip()
                (found,) = host.measure(drives)
                np.testing.assert_array_equal(found.all_nodes, true.all_nodes)
                host.close()
            except ChipError as error:
                assert re.search("broken|closed|does not answer", str(error)), error  # noqa: PT017
                refused += 1
                again = bench.chip()
                (found,) = again.measure(drives)
                np.testing.assert_array_equal(found.all_nodes, true.all_nodes)
                again.close()
        assert refused < messages / 2  # an answer that is late on a busy machine may be one cut too many


def test_a_cable_that_is_pulled_is_plugged_in_again() -> None:
    with behind(nodal_chip(XOR.circuit), 0.0, 1) as bench:
        host, drives = bench.chip(), [Drive(np.ones((2, XOR.circuit.channels)))]
        (before,) = host.measure(drives)
        bench.proxy.cut()
        (after,) = host.measure(drives)
        np.testing.assert_array_equal(before.all_nodes, after.all_nodes)
        host.close()
