"""What every chip promises, whatever it is made of: `harness.testing` over every kind."""

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import pytest

from harness.chip.base import Chip
from harness.chip.imperfect.ageing import AgeingChip, Pace
from harness.chip.imperfect.johnson import JohnsonChip, JohnsonNoise
from harness.chip.imperfect.made import VariedChip
from harness.chip.imperfect.pins import ImperfectChip, PinErrors
from harness.chip.imperfect.programming import Mode, ProgrammedChip, Programming
from harness.chip.ngspice.chip import FullBatchChip, FullNetlistChip, NgspiceChip
from harness.chip.ngspice.pool import WorkerPool
from harness.chip.nodal.chip import NodalChip
from harness.chip.nodal.unreduced import UnreducedNodalChip
from harness.circuit import Circuit
from harness.circuit.variation.lines import LineResistance
from harness.circuit.variation.variation import ConductanceSpread, Variation
from harness.devices import MosfetModel
from harness.devices.pulses import LinearStep, SoftBounds
from harness.devices.retention.laws import Drift, Relaxation, Retention, Telegraph
from harness.devices.writing import Device
from harness.errors import ChipError, CircuitError
from harness.measurement import Access, Drive, Injection, Spring
from harness.netlist.tolerances import Tolerances
from harness.testing import CHIP_CHECKS, check_chip
from harness.testing.chips import MakeChip as MakeAny
from tests.conftest import SOLVERS, MakeChip, kendall, random_batch, scellier

CIRCUITS = {
    "kendall": kendall([4]),
    "scellier": scellier([4, 3]),
    "transistors": kendall([4], diode=MosfetModel("mtest", 2.0, 0.1)),
}
PINS = PinErrors(dac_bits=8, dac_range=2, adc_bits=12, adc_range=8, read_noise=1e-4, levels=64, programming_noise=0.01)


def varied(circuit: Circuit) -> VariedChip:
    """A chip whose cells differ from the drawn ones, at the ends of resistive lines."""
    variation = Variation(spread=ConductanceSpread(0.1), lines=LineResistance(1e-3, 2e-3))
    return VariedChip(circuit, variation, 0, NodalChip)


def imperfect(circuit: Circuit) -> ImperfectChip:
    """A chip behind converters, with noise and cells of few levels."""
    return ImperfectChip(NodalChip(circuit), PINS, seed=0)


def programmed(circuit: Circuit) -> ProgrammedChip:
    """A chip that is written by pulses of devices that scatter."""
    device = Device("soft-bounds", SoftBounds(0, 1, 0.02, 0.02), cycle_to_cycle=0.01)
    return ProgrammedChip(varied(circuit), Programming(device, Mode.VERIFY), seed=0)


def ageing(circuit: Circuit) -> ProgrammedChip:
    """A chip whose cells have aged for an hour, written by pulses, with spread; no step takes any time."""
    law = Retention(Relaxation(0.01), drift=Drift(0.05, 0.02), telegraph=Telegraph(0.02))
    chip = AgeingChip(varied(circuit), law, Pace(step=0.0), seed=0)
    chip.wait(3600.0)
    return ProgrammedChip(chip, Programming(Device("linear", LinearStep(0, 1, 0.01, 0.01))), seed=0)


def outputs_only(circuit: Circuit) -> ImperfectChip:
    return ImperfectChip(NodalChip(circuit, access=Access.OUTPUTS), PINS, seed=0)


KINDS: dict[str, Callable[[Circuit], Chip]] = {
    "nodal": NodalChip,
    "warm": lambda circuit: JohnsonChip(NodalChip(circuit), JohnsonNoise(1e6, 300.0), seed=0),
    "unreduced": UnreducedNodalChip,
    "outputs-only": outputs_only,
    "varied": varied,
    "imperfect": imperfect,
    "programmed": programmed,
    "ageing": ageing,
}
IN_NGSPICE: dict[str, Callable[[Circuit], Chip]] = {
    "ngspice": NgspiceChip,
    "full-netlist": FullNetlistChip,
    "full-batch": FullBatchChip,
}


def subject(kind: str, circuit: str) -> object:
    """A kind of chip with one of the circuits on it, as a parameter."""
    made = partial((KINDS | IN_NGSPICE)[kind], CIRCUITS[circuit])
    return pytest.param(made, id=f"{kind}-{circuit}", marks=pytest.mark.ngspice if kind in IN_NGSPICE else ())


@pytest.mark.parametrize("check", CHIP_CHECKS)
@pytest.mark.parametrize(
    "make",
    [
        *(subject(kind, "kendall") for kind in (*KINDS, *IN_NGSPICE)),
        *(subject(kind, "scellier") for kind in ("nodal", "unreduced", "ngspice", "programmed")),
    ],
)
def test_every_kind_of_chip_keeps_what_chips_promise(make: MakeAny, check: Callable[[MakeAny], None]) -> None:
    check(make)


# --- workers


class Lent(WorkerPool):
    """Workers that a chip does not end."""

    def close(self) -> None:
        pass


@pytest.fixture(scope="module")
def workers() -> Iterator[Lent]:
    lent = Lent(Tolerances(), 2)
    yield lent
    WorkerPool.close(lent)


@pytest.mark.ngspice
def test_a_chip_of_many_workers_keeps_what_chips_promise(workers: Lent) -> None:
    check_chip(lambda: NgspiceChip(CIRCUITS["kendall"], simulators=workers, chunk=2))


# --- what chips of a circuit promise besides


@pytest.fixture(
    params=[
        *SOLVERS,
        pytest.param(UnreducedNodalChip, id="unreduced"),
        pytest.param(FullBatchChip, id="full-batch", marks=pytest.mark.ngspice),
        pytest.param(varied, id="varied"),
    ]
)
def make_chip(request: pytest.FixtureRequest) -> MakeChip:
    """Every kind that writes exactly, by a function from circuit to chip."""
    return request.param


@pytest.mark.parametrize("circuit", CIRCUITS.values(), ids=CIRCUITS)
def test_input_pins_hold_the_gained_inputs(make_chip: MakeChip, circuit: Circuit) -> None:
    drive = Drive(random_batch(circuit).inputs)
    (reading,) = make_chip(circuit).measure([drive])
    gain = 1.0 if circuit.name == "layered" else 3.0
    for sign, suffix in ((1, "p"), (-1, "n")):
        pins = [circuit.node_index[f"x{i}{suffix}"] for i in range(circuit.channels)]
        np.testing.assert_allclose(reading.nodes[:, pins], sign * gain * drive.inputs, rtol=1e-12)


def test_adjust_clips_to_the_range_and_says_what_was_written(make_chip: MakeChip) -> None:
    circuit = kendall([4])
    chip = make_chip(circuit)
    before = chip.conductances
    written = chip.adjust([np.full(c.shape, -100.0) for c in circuit.arrays])
    for crossbar, old, new, change in zip(circuit.arrays, before, chip.conductances, written, strict=True):
        np.testing.assert_array_equal(new, np.full(crossbar.shape, crossbar.g_min))
        np.testing.assert_allclose(change, crossbar.g_min - old)


def test_program_refuses_what_the_cells_cannot_hold_and_keeps_what_was(make_chip: MakeChip) -> None:
    circuit = kendall([4])
    chip = make_chip(circuit)
    wrong = [g.copy() for g in circuit.conductances]
    wrong[1][2, 1] = 11.0
    with pytest.raises(CircuitError, match=r"crossbar w2, cell \[2, 1\]: 11 S is outside 1 mS…10 S"):
        chip.program(wrong)
    np.testing.assert_array_equal(chip.conductances[1], circuit.conductances[1])


@pytest.mark.parametrize(
    ("drives", "message"),
    [
        ([], "no drive was given"),
        ([Drive(np.zeros((3, 2)))], r"free phase: inputs have shape \(3, 2\)"),
        ([Drive(np.full((1, 3), np.nan))], r"free phase: inputs: sample 0, column 0 is nan, which is not finite"),
        ([Drive(np.zeros((3, 3))), Drive(np.zeros((2, 3)))], r"inputs have shape \(2, 3\)"),
        ([Drive(np.zeros((1, 3)), Spring(0.1, np.zeros((1, 5))), "nudged")], "nudged phase: targets have shape"),
        ([Drive(np.zeros((1, 3)), Spring(np.inf, np.zeros((1, 2))), "nudged")], "β = inf S is not finite"),
        ([Drive(np.zeros((1, 3)), Injection(np.zeros((2, 2))), "nudged")], "nudging currents have shape"),
    ],
)
def test_drives_that_do_not_fit_are_refused_with_the_phase(
    make_chip: MakeChip, drives: list[Drive], message: str
) -> None:
    with pytest.raises(ChipError, match=message):
        make_chip(kendall([4])).measure(drives)


def test_a_change_that_is_not_finite_is_refused(make_chip: MakeChip) -> None:
    chip = make_chip(kendall([4]))
    changes = [np.full(g.shape, np.nan) for g in chip.conductances]
    with pytest.raises(ChipError, match="crossbar w1: a wanted change is not finite"):
        chip.adjust(changes)
