"""The bench chip over a virtual board: what chips promise, the same bits, and how cells are written."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from harness.chip.base import Chip
from harness.chip.bench.chip import BenchChip
from harness.chip.bench.journal import Session
from harness.chip.bench.profile import Profile, WriteMode, load_profile
from harness.chip.bench.virtual.instrument import Instrument
from harness.chip.imperfect.made import VariedChip
from harness.chip.imperfect.pins import ImperfectChip, PinErrors
from harness.chip.imperfect.programming import Mode, ProgrammedChip, Programming
from harness.chip.metering import set_step_key
from harness.chip.nodal.chip import NodalChip
from harness.circuit import Circuit
from harness.circuit.variation.variation import ConductanceSpread, Variation
from harness.devices.pulses import LinearStep, SoftBounds
from harness.devices.writing import Device
from harness.errors import BoardError, ConvergenceError, ExperimentError, LimitError
from harness.measurement import Access, Drive, Injection, Spring
from harness.testing import CHIP_CHECKS, check_chip
from tests.chip.bench.lines import DirectLine, LossyLine, direct
from tests.chip.bench.profiles import changed
from tests.conftest import kendall, random_batch

CIRCUIT = kendall([4])
VIRTUAL = load_profile("virtual")
FAST = changed(VIRTUAL, timing={"timeout": 0.01})
PINS = PinErrors(dac_noise=1e-3, mismatch=0.01, levels=64, programming_noise=0.01, update_bias=1e-3)
STEP = 0.02 * (CIRCUIT.arrays[0].g_max - CIRCUIT.arrays[0].g_min)
PULSED = changed(
    VIRTUAL,
    write={"mode": WriteMode.VERIFY, "pulse_v": 1.0, "pulse_s": 1e-6, "tolerance": 0.7 * STEP, "step": STEP},
    limits={"pulse_v_max": 2.0, "pulse_s_max": 1e-3},
)


def opened(chip: Chip, profile: Profile = FAST, line: DirectLine | None = None, **more: object) -> BenchChip:
    """A bench chip over a served one, programmed to what its circuit says."""
    made = BenchChip(chip.circuit, profile, line=line or direct(chip), **more)
    made.program(chip.circuit.conductances)
    return made


def varied(circuit: Circuit) -> Chip:
    return VariedChip(circuit, Variation(spread=ConductanceSpread(0.1)), 0, NodalChip)


def imperfect(circuit: Circuit) -> Chip:
    return ImperfectChip(NodalChip(circuit), PINS, seed=0)


def pulsed(circuit: Circuit) -> ProgrammedChip:
    device = Device("linear", LinearStep(0, 1, 0.02, 0.02))
    return ProgrammedChip(NodalChip(circuit), Programming(device, Mode.VERIFY), seed=0)


# --- what every chip promises


@pytest.mark.parametrize("check", CHIP_CHECKS)
def test_a_board_keeps_what_chips_promise(check: Callable[[Callable[[], Chip]], None]) -> None:
    check(lambda: opened(NodalChip(CIRCUIT)))


def test_a_board_of_outputs_only_keeps_what_chips_promise() -> None:
    profile = changed(FAST, can={"access": Access.OUTPUTS, "batch": 2, "nudge": ("injection",)})
    check_chip(lambda: opened(NodalChip(CIRCUIT), profile))


def test_a_board_without_frames_keeps_what_chips_promise() -> None:
    check_chip(lambda: opened(NodalChip(CIRCUIT), line=direct(NodalChip(CIRCUIT), frames=False)))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("frames", [True, False])
def test_a_lossy_line_never_gives_a_wrong_reading(frames: bool, seed: int) -> None:
    """Every reading that comes is right; what cannot be healed is a sentence, and the board is grounded."""
    batch, truth = random_batch(CIRCUIT), NodalChip(CIRCUIT)
    drives = [Drive(batch.inputs), Drive(batch.inputs, Spring(0.1, batch.targets), "nudged")]
    wanted = truth.measure(drives)
    line = LossyLine(Instrument(NodalChip(CIRCUIT), "test"), 0.0, seed, frames=frames)
    chip = opened(NodalChip(CIRCUIT), line=line)
    line._rate, right = 0.1, 0
    for _ in range(60):
        try:
            found = chip.measure(drives)
        except BoardError:
            continue
        right += 1
        for one, other in zip(found, wanted, strict=True):
            assert one.all_nodes.tobytes() == other.all_nodes.tobytes()
    assert line.happened > 5
    assert right > 40


# --- the same bits as in this process


@pytest.mark.parametrize("make", [NodalChip, varied, imperfect], ids=["ideal", "varied", "imperfect"])
def test_steps_over_a_line_are_those_of_this_process(make: Callable[[Circuit], Chip]) -> None:
    here, there = make(CIRCUIT), opened(make(CIRCUIT))
    batch, rng = random_batch(CIRCUIT), np.random.default_rng(3)
    here.program(CIRCUIT.conductances)
    for step in range(3):
        wanted = [0.01 * rng.normal(size=array.shape) for array in CIRCUIT.arrays]
        drives = [Drive(batch.inputs), Drive(batch.inputs, Spring(0.1, batch.targets), "nudged")]
        for chip in (here, there):
            set_step_key(chip, (0, step))
        for one, other in zip(there.measure(drives), here.measure(drives), strict=True):
            assert one.all_nodes.tobytes() == other.all_nodes.tobytes()
        for one, other in zip(there.adjust(wanted), here.adjust(wanted), strict=True):
            np.testing.assert_allclose(one, other, atol=1e-15)
        for one, other in zip(there.conductances, here.conductances, strict=True):
            assert one.tobytes() == other.tobytes()


def test_phases_of_a_call_go_in_one_message_and_share_their_inputs() -> None:
    line = direct(NodalChip(CIRCUIT))
    chip, batch = opened(NodalChip(CIRCUIT), line=line), random_batch(CIRCUIT)
    line.sent.clear()
    chip.measure([Drive(batch.inputs), Drive(batch.inputs, Spring(0.1, batch.targets), "nudged")])
    (message,) = line.sent
    assert message.count("SOUR:LIST") == 1
    assert message.count("READ:NODE?") == 2


@pytest.mark.parametrize("frames", [True, False])
def test_lost_answers_and_retries_are_counted(frames: bool) -> None:
    line = OnceLost(Instrument(NodalChip(CIRCUIT), "test"), frames=frames)
    chip = opened(NodalChip(CIRCUIT), line=line)
    drives = [Drive(random_batch(CIRCUIT).inputs)]
    chip.measure(drives)
    chip.measure(drives)
    told = chip.record()
    assert (told["retries"], told["lost_answers"]) == (0, 0)
    line.lose, line.words = "answer", "READ"
    chip.measure(drives)
    told = chip.record()
    assert (told["retries"], told["lost_answers"]) == (frames, 1)  # without frames, another greeting comes between


def test_all_cells_are_read_in_one_message() -> None:
    line = direct(NodalChip(CIRCUIT))
    BenchChip(CIRCUIT, VIRTUAL, line=line)
    assert sum("CELL:COND?" in message for message in line.sent) == 1


def test_samples_beyond_what_a_list_takes_go_in_several_messages() -> None:
    batch = random_batch(CIRCUIT)
    line = direct(NodalChip(CIRCUIT))
    chip = opened(NodalChip(CIRCUIT), changed(FAST, can={"batch": 2}), line)
    line.sent.clear()
    (found,) = chip.measure([Drive(batch.inputs)])
    assert len(line.sent) == -(-len(batch) // 2)
    np.testing.assert_allclose(found.all_nodes, NodalChip(CIRCUIT).measure([Drive(batch.inputs)])[0].all_nodes, 1e-9)


# --- opening


def test_opening_writes_nothing_and_believes_what_cells_are() -> None:
    board = NodalChip(CIRCUIT)
    board.program([0.5 * (g + array.g_min) for g, array in zip(CIRCUIT.conductances, CIRCUIT.arrays, strict=True)])
    line = direct(board)
    chip = BenchChip(CIRCUIT, VIRTUAL, line=line)
    for one, other in zip(chip.conductances, board.conductances, strict=True):
        np.testing.assert_array_equal(one, other)
    assert not any(word in message for message in line.sent for word in ("CELL:COND ", "CELL:ADJ", "CELL:PULS "))


@pytest.mark.parametrize(
    ("profile", "error", "message"),
    [
        (changed(VIRTUAL, identity={"expects": "Lab"}), BoardError, "identity.expects of the profile is 'Lab'"),
        (changed(VIRTUAL, identity={"firmware": "9"}), BoardError, "identity.firmware of the profile is '9'"),
        (changed(VIRTUAL, channels={"inputs": {"x0": "0"}}), ExperimentError, "channels.inputs must name the inputs"),
        (
            changed(VIRTUAL, channels={"inputs": {"x0": "0", "x1": "1", "x2": "7"}}),
            ExperimentError,
            r"channels.inputs.x2 = '7': the board numbers its inputs 0…2",
        ),
        (PULSED, BoardError, "write.mode = 'verify' needs a board that can PULS"),
    ],
)
def test_a_board_that_does_not_fit_its_profile_is_refused(
    profile: Profile, error: type[Exception], message: str
) -> None:
    line = direct(NodalChip(CIRCUIT))
    with pytest.raises(error, match=message):
        BenchChip(CIRCUIT, profile, line=line)
    assert not line.instrument.applied


def test_a_board_of_another_network_is_refused() -> None:
    with pytest.raises(BoardError, match=r"the board has \d+ (nodes|cells), and circuit layered has \d+"):
        BenchChip(CIRCUIT, VIRTUAL, line=direct(NodalChip(kendall([5]))))


def test_channels_may_lie_in_another_order() -> None:
    batch = random_batch(CIRCUIT)
    inputs = {"x0": "2", "x1": "0", "x2": "1"}
    outputs = {CIRCUIT.outputs[0].name: ("1",), CIRCUIT.outputs[1].name: ("0",)}
    profile = changed(
        VIRTUAL,
        channels={"inputs": inputs, "outputs": outputs},
        can={"access": Access.OUTPUTS},
        write={"mode": WriteMode.SET},
    )
    chip = opened(NodalChip(CIRCUIT), profile)
    current = Injection(0.1 * batch.targets)
    (found,) = chip.measure([Drive(batch.inputs, current, "nudged")])
    there = Drive(batch.inputs[:, [1, 2, 0]], Injection(current.current[:, ::-1]), "nudged")
    (wanted,) = NodalChip(CIRCUIT).measure([there])
    np.testing.assert_array_equal(found.outputs, wanted.outputs[:, ::-1])


# --- writing by pulses


def test_verified_writes_come_near_and_every_pulse_is_counted(tmp_path: Path) -> None:
    board, session = pulsed(CIRCUIT), Session(tmp_path)
    line = direct(board)
    chip = BenchChip(CIRCUIT, PULSED, line=line, session=session)
    goal = [np.clip(g + 3.2 * STEP, a.g_min, a.g_max) for g, a in zip(chip.conductances, CIRCUIT.arrays, strict=True)]
    chip.adjust([after - before for after, before in zip(goal, chip.conductances, strict=True)])
    for one, other, true in zip(chip.conductances, goal, board.conductances, strict=True):
        assert np.abs(one - other).max() <= 0.7 * STEP
        np.testing.assert_array_equal(one, true)
    told = chip.record()
    assert told["pulses"] == told["board_pulses"] == chip.ledger.pulses == line.instrument.cells.counts.sum() > 0
    chip.close()


@pytest.mark.parametrize("mode", [WriteMode.FIXED_STEP, WriteMode.OPEN_LOOP, WriteMode.STOCHASTIC])
def test_writes_without_reading_are_what_the_steps_say(mode: WriteMode, tmp_path: Path) -> None:
    board = pulsed(CIRCUIT)
    line = direct(board)
    chip = BenchChip(CIRCUIT, changed(PULSED, write={"mode": mode}), line=line, session=Session(tmp_path))
    set_step_key(chip, (0, 0))
    rng = np.random.default_rng(0)
    wanted = [np.where(rng.random(a.shape) < 0.5, 2.3 * STEP, -1.2 * STEP) for a in CIRCUIT.arrays]
    before = chip.conductances
    chip.adjust(wanted)
    moved = np.concatenate([(a - b).ravel() for a, b in zip(chip.conductances, before, strict=True)])
    asked = np.concatenate([w.ravel() for w in wanted])
    free = np.concatenate(
        [  # of cells that no bound stops
            ((g + 3 * STEP < a.g_max) & (g - 2 * STEP > a.g_min)).ravel()
            for g, a in zip(before, CIRCUIT.arrays, strict=True)
        ]
    )
    steps = np.rint(moved[free] / STEP)
    allowed = {
        WriteMode.FIXED_STEP: {1.0: {1}, -1.0: {-1}},
        WriteMode.OPEN_LOOP: {1.0: {2}, -1.0: {-1}},
        WriteMode.STOCHASTIC: {1.0: {2, 3}, -1.0: {-1, -2}},
    }[mode]
    for sign, counts in allowed.items():
        assert set(steps[np.sign(asked[free]) == sign]) <= counts
    for one, true in zip(chip.conductances, board.conductances, strict=True):
        np.testing.assert_allclose(one, true, rtol=1e-9)
    told = chip.record()
    assert told["pulses"] == told["board_pulses"] == chip.ledger.pulses > 0
    chip.close()


class OnceLost(DirectLine):
    """A line that loses one answer to pulses, or the pulses themselves; or to a message with other words in it."""

    lose, words = "", "CELL:PULS"

    def send(self, message: str) -> None:
        if self.words in message and self.lose:
            lost, self.lose = self.lose, ""
            if lost == "answer":
                super()._answered(message)
            self.sent.append(message)
            return
        super().send(message)


@pytest.mark.parametrize("lost", ["answer", "message"])
@pytest.mark.parametrize("frames", [True, False])
def test_pulses_are_never_sent_again_before_their_cells_were_looked_at(lost: str, frames: bool, tmp_path: Path) -> None:
    line = OnceLost(Instrument(pulsed(CIRCUIT), "test"), frames=frames)
    profile = changed(PULSED, timing={"timeout": 0.01})
    chip = BenchChip(CIRCUIT, profile, line=line, session=Session(tmp_path))
    line.lose = lost
    line.sent.clear()
    wanted = [np.full(a.shape, 0.0) for a in CIRCUIT.arrays]
    wanted[0][0, 0] = 2.1 * STEP
    chip.adjust(wanted)
    kinds = ["pulse" if "CELL:PULS" in m else "count" if "COUN?" in m else "read" for m in line.sent if "CELL:" in m]
    assert kinds[:3] == ["pulse", "count", "read"]
    assert int(line.instrument.cells.counts.sum()) == chip.record()["pulses"] == 2
    chip.close()


def test_a_session_that_was_killed_between_a_pulse_and_its_answer_is_settled_by_the_board(tmp_path: Path) -> None:
    instrument = Instrument(pulsed(CIRCUIT), "test")
    chip = BenchChip(CIRCUIT, PULSED, line=DirectLine(instrument), session=Session(tmp_path))
    cells = np.array([[0, 0], [1, 1]])
    chip._session.journal.ahead(cells, np.array([3, 4]), np.array([0, 0]))
    chip._session.journal._file.close()
    instrument.cells.pulse(instrument.cells.at(*cells[:1].astype(float).T), np.array([3.0]))
    again = BenchChip(CIRCUIT, PULSED, line=DirectLine(instrument), session=Session(tmp_path))
    told = again.record()
    assert told["pulses"] == told["board_pulses"] == 3
    assert told["sessions"] == 2
    again.close()


# --- limits


def limited(key: str, value: float, profile: Profile = VIRTUAL) -> Profile:
    return changed(profile, limits={key: value})


@pytest.mark.parametrize(
    ("profile", "drive", "message"),
    [
        (
            limited("v_max", 0.5),
            Drive(np.full((2, 3), 0.6)),
            "free phase, sample 0, input x0: 600 mV is beyond limits.v_max = 500 mV",
        ),
        (
            limited("v_max", 1.0),
            Drive(np.zeros((2, 3)), Spring(0.1, np.full((2, 2), -1.5)), "nudged"),
            "nudged phase, sample 0, output y0: -1.5 V is beyond limits.v_max = 1 V",
        ),
        (
            limited("i_max", 1e-3),
            Drive(np.zeros((2, 3)), Injection(np.array([[0, 0], [0, 2e-3]])), "nudged"),
            "nudged phase, sample 1, output y1: 2 mA is beyond limits.i_max = 1 mA",
        ),
    ],
)
def test_drives_beyond_a_limit_are_not_sent_and_pins_are_grounded(profile: Profile, drive: Drive, message: str) -> None:
    line = direct(NodalChip(CIRCUIT))
    chip = opened(NodalChip(CIRCUIT), profile, line)
    chip.measure([Drive(np.zeros((1, 3)))])
    assert line.instrument.applied
    line.sent.clear()
    with pytest.raises(LimitError, match=message):
        chip.measure([drive])
    assert not line.instrument.applied
    assert not any("READ" in sent for sent in line.sent)


@pytest.mark.parametrize(
    ("profile", "message"),
    [
        (limited("pulse_v_max", 0.5, PULSED), "cell w = 0, b = 0: 1 V is beyond limits.pulse_v_max = 500 mV"),
        (limited("pulse_s_max", 1e-7, PULSED), "cell w = 0, b = 0: 1 µs is beyond limits.pulse_s_max = 100 ns"),
        (limited("pulses_per_cell", 4, PULSED), "w = 0, b = 0: 3 more after 3 pulses is beyond limits.pulses_per_cell"),
    ],
)
def test_pulses_beyond_a_limit_are_not_sent(profile: Profile, message: str) -> None:
    line = direct(pulsed(CIRCUIT))
    chip = BenchChip(CIRCUIT, profile, line=line)
    wanted = [np.zeros(a.shape) for a in CIRCUIT.arrays]
    wanted[0][0, 0] = 3.1 * STEP
    with pytest.raises(LimitError, match=message):
        _ = [chip.adjust(wanted) for _ in range(2)]
    assert line.instrument.cells.counts.max() <= 4


def test_writes_wait_for_their_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    monkeypatch.setattr("harness.chip.bench.chip.time.sleep", waited.append)
    chip = opened(NodalChip(CIRCUIT), limited("writes_per_minute", 60))
    for _ in range(3):
        chip.adjust([np.full(a.shape, 1e-4) for a in CIRCUIT.arrays])
    assert len(waited) == 2
    assert 0 < min(waited) <= max(waited) <= 2


# --- settling


def test_readings_that_still_move_are_refused_with_their_output() -> None:
    chip = NodalChip(CIRCUIT)
    line = DirectLine(Instrument(chip, "test", settling=1.0, wait=lambda _: None))
    profile = changed(VIRTUAL, timing={"settle": 0.1, "settle_check": 1e-3, "retries": 2})
    bench = BenchChip(CIRCUIT, profile, line=line)
    with pytest.raises(
        ConvergenceError, match=r"sample \d, free phase: node \w+ still moves by .*, and timing.settle_check is 1 mV"
    ):
        bench.measure([Drive(random_batch(CIRCUIT).inputs)])
    assert not line.instrument.applied


def test_readings_that_have_settled_are_taken_and_averages_quieten_noise() -> None:
    inputs = random_batch(CIRCUIT).inputs
    noisy = ImperfectChip(NodalChip(CIRCUIT), PinErrors(read_noise=1e-2), seed=0)
    truth = NodalChip(CIRCUIT).measure([Drive(inputs)])[0].outputs

    def off(averages: int) -> float:
        bench = opened(noisy, changed(VIRTUAL, timing={"averages": averages, "settle_check": 1.0}))
        return float(np.abs(bench.measure([Drive(inputs)])[0].outputs - truth).mean())

    assert off(64) < 0.4 * off(1)


# --- ends


def test_pins_are_grounded_when_the_chip_is_closed_and_after_any_error() -> None:
    line = direct(NodalChip(CIRCUIT))
    chip = opened(NodalChip(CIRCUIT), line=line)
    chip.measure([Drive(np.zeros((1, 3)))])
    line.close = lambda: None  # type: ignore[method-assign]
    chip.close()
    assert not line.instrument.applied


def test_a_line_that_breaks_is_opened_anew_and_all_cells_are_read(tmp_path: Path) -> None:
    board = NodalChip(CIRCUIT)
    line = direct(board)
    chip = opened(board, line=line, session=Session(tmp_path))
    batch = random_batch(CIRCUIT)
    line.broken_after = len(line.sent)
    board.program([np.clip(g * 1.1, a.g_min, a.g_max) for g, a in zip(board.conductances, CIRCUIT.arrays, strict=True)])
    chip.measure([Drive(batch.inputs)])
    for one, other in zip(chip.conductances, board.conductances, strict=True):
        np.testing.assert_array_equal(one, other)
    assert (tmp_path / "readback.csv").read_text().count("\n") == 1 + 2 * len(CIRCUIT.arrays)
    chip.close()


def test_soft_devices_are_programmed_as_nearly_as_they_can(tmp_path: Path) -> None:
    device = Device("soft", SoftBounds(0, 1, 0.02, 0.02), cycle_to_cycle=0.01)
    board = ProgrammedChip(NodalChip(CIRCUIT), Programming(device, Mode.VERIFY), seed=0)
    chip = BenchChip(CIRCUIT, changed(PULSED, write={"step": None}), line=direct(board), session=Session(tmp_path))
    goal = [np.clip(g + 0.1, a.g_min, 0.5 * a.g_max) for g, a in zip(chip.conductances, CIRCUIT.arrays, strict=True)]
    chip.program(goal)
    for one, other in zip(chip.conductances, goal, strict=True):
        assert np.abs(one - other).max() <= 0.7 * STEP
    chip.close()
