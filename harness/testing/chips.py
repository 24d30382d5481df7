"""Promises of every chip, as functions that take a function which makes one; it is closed afterwards."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

import numpy as np

from harness.chip.base import Chip
from harness.chip.metering import Ledger, ledger_of, set_step_key
from harness.circuit.branches import Branches
from harness.errors import ChipError, CircuitError, HarnessError
from harness.measurement import Access, Array, Clamp, Drive, Injection, Nudge, Reading, Spring

MakeChip = Callable[[], Chip]
_SAMPLES = 3
_KEYS: tuple[tuple[int, ...], ...] = ((0, 1), (2, 5))
"""Two training steps."""


def check_chip(make: MakeChip) -> None:
    """Make every check of `CHIP_CHECKS`; `make` returns a new chip, always in the same state.

    Raises:
        AssertionError: names each check that failed, with what it found.
    """
    failed = []
    for check in CHIP_CHECKS:
        try:
            check(make)
        except (AssertionError, HarnessError) as error:
            failed.append(f"{check.__name__}: {error}")
    assert not failed, "\n".join(failed)


def measuring_changes_no_conductance(make: MakeChip) -> None:
    """Free and nudged phases leave what is programmed as it is."""
    with _opened(make) as chip:
        before = [g.copy() for g in chip.conductances]
        chip.measure(_drives(chip))
        _same_bits(chip.conductances, before, "conductances after measuring")


def the_same_drives_read_the_same(make: MakeChip) -> None:
    """After the same step key, the same drives read the same: bit for bit where the chip says so, else nearly."""
    with _opened(make) as chip:
        set_step_key(chip, _KEYS[0])
        first = chip.measure(_drives(chip))
        set_step_key(chip, _KEYS[1])
        chip.measure(_drives(chip))
        set_step_key(chip, _KEYS[0])
        _same_readings(chip, chip.measure(_drives(chip)), first, "the same drives once more")


def the_same_step_writes_the_same(make: MakeChip) -> None:
    """After the same step key and from the same conductances, the same wanted changes write the same."""
    with _opened(make) as chip:
        chip.program(chip.conductances)
        start, wanted = chip.conductances, _changes(chip, 0.02)
        set_step_key(chip, _KEYS[0])
        first = chip.adjust(wanted)
        set_step_key(chip, _KEYS[1])
        chip.adjust(wanted)
        chip.program(start)
        set_step_key(chip, _KEYS[0])
        again = chip.adjust(wanted)
        if chip.capabilities.reproducible:
            for one, other, cells in zip(first, again, chip.circuit.arrays, strict=True):
                _close(one, other, 1e-9 * cells.g_max, f"{cells.title}: what the same step wrote, S")


def a_batch_reads_what_its_samples_read(make: MakeChip) -> None:
    """A batch gives what its samples give one by one, within the chip's tolerance."""
    with _opened(make) as chip:
        together = chip.measure(_drives(chip))
        for sample in range(len(together[0].outputs)):
            row = slice(sample, sample + 1)
            for whole, drive in zip(together, _drives(chip), strict=True):
                (alone,) = chip.measure([replace(drive, inputs=drive.inputs[row], nudge=_of_row(drive.nudge, row))])
                what = f"{drive.phase} phase, sample {sample} alone"
                _close(alone.outputs, whole.outputs[row], _tolerance(chip, whole), what)
                if whole.volts is not None:
                    _close(alone.all_nodes, whole.all_nodes[row], _tolerance(chip, whole), f"{what}, nodes")


def an_empty_batch_reads_nothing(make: MakeChip) -> None:
    """No sample gives readings without rows."""
    with _opened(make) as chip:
        (reading,) = chip.measure([Drive(np.zeros((0, chip.circuit.channels)))])
        found = reading.outputs.shape
        assert found == (0, len(chip.circuit.outputs)), f"outputs of an empty batch have shape {found}"


def nodes_are_read_where_there_is_access(make: MakeChip) -> None:
    """Readings have node voltages just where the chip gives access to them; outputs are the drops between nodes."""
    with _opened(make) as chip:
        for reading in chip.measure(_drives(chip)):
            if chip.capabilities.access is Access.OUTPUTS:
                assert reading.volts is None, "a chip with access to its outputs only has read its nodes"
                continue
            volts = np.column_stack([reading.all_nodes, np.zeros(len(reading.outputs))])
            index = chip.circuit.grounded_index
            drops = [volts[:, index[o.plus]] - volts[:, index[o.minus]] for o in chip.circuit.outputs]
            _close(reading.outputs, np.column_stack(drops), 2 * _tolerance(chip, reading), "outputs, as drops of nodes")


def programming_writes_what_cells_can_hold(make: MakeChip) -> None:
    """Conductances stay in their range, what is programmed stays, and what was before can be programmed again."""
    with _opened(make) as chip:
        chip.program(chip.conductances)
        before, drives = chip.conductances, _drives(chip)
        set_step_key(chip, ())
        readings = chip.measure(drives)
        chip.program([g + change for g, change in zip(before, _changes(chip, 0.1), strict=True)])
        _within_range(chip)
        moved = any(not np.array_equal(g, old) for g, old in zip(chip.conductances, before, strict=True))
        assert moved, "programming other conductances has changed none"
        chip.program(before)
        for g, old, cells in zip(chip.conductances, before, chip.circuit.arrays, strict=True):
            _close(g, old, 1e-9 * cells.g_max, f"{cells.title}: conductances after programming them again, S")
        set_step_key(chip, ())
        _same_readings(chip, chip.measure(drives), readings, "after programming them again")


def programming_refuses_what_no_cell_can_hold(make: MakeChip) -> None:
    """A conductance beyond its array's range, or none at all, is refused, and nothing is changed."""
    with _opened(make) as chip:
        array = chip.circuit.arrays[-1]
        for wrong in (1.1 * array.g_max, array.g_min - 0.1 * array.g_max, np.nan):
            before = [g.copy() for g in chip.conductances]
            wanted = [g.copy() for g in before]
            wanted[-1].flat[-1] = wrong
            _refused(CircuitError, partial(chip.program, wanted), f"programming {wrong:g} S")
            _same_bits(chip.conductances, before, "conductances after a refusal")


def adjusting_says_what_it_wrote(make: MakeChip) -> None:
    """`adjust` returns the change that conductances have made, and they stay in their range."""
    with _opened(make) as chip:
        for size in (0.02, -0.02, 100.0, -100.0):
            before = chip.conductances
            written = chip.adjust(_changes(chip, size))
            for g, old, change, cells in zip(chip.conductances, before, written, chip.circuit.arrays, strict=True):
                _close(change, g - old, 1e-9 * cells.g_max, f"{cells.title}: what was written, S")
            _within_range(chip)


def adjusting_refuses_what_is_not_finite(make: MakeChip) -> None:
    """A wanted change that is no number is refused, and nothing is changed."""
    with _opened(make) as chip:
        before = [g.copy() for g in chip.conductances]
        wanted = [np.full(g.shape, np.nan) for g in before]
        _refused(ChipError, partial(chip.adjust, wanted), "a change that is not finite")
        _same_bits(chip.conductances, before, "conductances after a refusal")


def wrong_drives_are_refused(make: MakeChip) -> None:
    """Drives that do not fit the circuit, or each other, are refused in a sentence; nothing is changed or counted."""
    with _opened(make) as chip:
        before, asked = [g.copy() for g in chip.conductances], ledger_of(chip)
        for what, drives in _wrong(chip).items():
            _refused(ChipError, partial(chip.measure, drives), what)
        _same_bits(chip.conductances, before, "conductances after a refusal")
        assert ledger_of(chip) == asked, "a drive that was refused has been counted"
        chip.measure(_drives(chip))


def what_it_cannot_do_is_refused(make: MakeChip) -> None:
    """Nudges, small-signal phases and batches beyond the chip's capabilities are refused in a sentence."""
    with _opened(make) as chip:
        can, free, y = chip.capabilities, _free(chip), _targets(chip)
        refused: dict[str, Drive] = {}
        for nudge in (Spring(_beta(chip), y), Injection(_beta(chip) * y), Clamp(y)):
            if type(nudge) not in can.nudges:
                refused[f"a nudge by {type(nudge).__name__}"] = replace(free, nudge=nudge, phase="nudged")
        nothing = Injection(np.zeros_like(y))
        about = Reading(y, np.zeros((len(y), len(chip.circuit.nodes))))
        if not can.small_signal:
            refused["a small-signal phase"] = replace(free, nudge=nothing, phase="small-signal", about=about)
        if not can.adjoint:
            refused["an adjoint phase"] = replace(free, nudge=nothing, phase="adjoint", about=about, adjoint=True)
        if can.small_signal and not can.oscillating:
            refused["an oscillating phase"] = replace(free, nudge=nothing, phase="slow", about=about, frequency=1.0)
        if not can.reversal:
            refused["reversed one-way parts"] = replace(free, nudge=nothing, phase="reversed", reversal=about)
        if can.largest_batch is not None:
            many = np.zeros((can.largest_batch + 1, chip.circuit.channels))
            refused[f"a batch of {len(many)} samples"] = Drive(many)
        for what, drive in refused.items():
            _refused(ChipError, partial(chip.measure, [drive]), what)


def a_nudge_of_zero_is_the_free_phase(make: MakeChip) -> None:
    """Springs and currents of nothing, and clamps at the free outputs, leave the network as it is."""
    with _opened(make) as chip:
        (free,) = chip.measure([_free(chip)])
        y = _targets(chip)
        for nudge in (Spring(0.0, y), Injection(np.zeros_like(y)), Clamp(free.outputs)):
            if type(nudge) in chip.capabilities.nudges:
                (nudged,) = chip.measure([replace(_free(chip), nudge=nudge, phase="nudged by nothing")])
                _alike(chip, nudged, free, f"{type(nudge).__name__} of nothing")


def a_spring_is_the_current_that_it_draws(make: MakeChip) -> None:
    """A spring of β pulls outputs towards their targets y, as the current β (y − v) into them does."""
    with _opened(make) as chip:
        if Spring not in chip.capabilities.nudges:
            return
        beta, y = _beta(chip), _targets(chip)
        free, pulled = chip.measure([_free(chip), replace(_free(chip), nudge=Spring(beta, y), phase="nudged")])
        before, after = (float(np.square(y - reading.outputs).sum()) for reading in (free, pulled))
        assert after < before, f"a spring has pushed outputs away: Σ (y − v)² was {before:g} V², is {after:g} V²"
        if Injection in chip.capabilities.nudges:
            current = Injection(beta * (y - pulled.outputs))
            (driven,) = chip.measure([replace(_free(chip), nudge=current, phase="nudged by current")])
            _alike(chip, driven, pulled, "the current of a spring")


def a_current_gives_its_outputs_power(make: MakeChip) -> None:
    """A current into outputs moves them its way: Σ i Δv is above 0 W."""
    with _opened(make) as chip:
        if Injection not in chip.capabilities.nudges:
            return
        current = _beta(chip) * _targets(chip)
        free, driven = chip.measure([_free(chip), replace(_free(chip), nudge=Injection(current), phase="nudged")])
        watts = (current * (driven.outputs - free.outputs)).sum(axis=1)
        assert (watts > 0).all(), f"a current takes power from the network that it enters: {watts.min():g} W"


def a_clamp_holds_its_outputs(make: MakeChip) -> None:
    """Clamped outputs are where they are held."""
    with _opened(make) as chip:
        if Clamp in chip.capabilities.nudges:
            (held,) = chip.measure([replace(_free(chip), nudge=Clamp(_targets(chip)), phase="clamped")])
            _close(held.outputs, _targets(chip), _tolerance(chip, held), "clamped outputs")


def a_small_signal_is_proportional_to_its_current(make: MakeChip) -> None:
    """About an operating point, no current moves nothing, and twice the current moves twice as far."""
    with _opened(make) as chip:
        can = chip.capabilities
        if not (can.small_signal and Injection in can.nudges and can.access is Access.NODES):
            return
        (free,) = chip.measure([_free(chip)])
        currents = [factor * _beta(chip) * _targets(chip) for factor in (0, 1, 2)]
        drives = [replace(_free(chip), nudge=Injection(i), phase="small-signal", about=free) for i in currents]
        none, one, two = (reading.outputs for reading in chip.measure(drives))
        allowed = 3 * _tolerance(chip, free)
        _close(none, np.zeros_like(none), allowed, "outputs about a point, without a current")
        _close(two, 2 * one, allowed, "outputs about a point, under twice the current")


def a_slow_oscillation_is_a_small_signal(make: MakeChip) -> None:
    """A current that oscillates so slowly that no capacitance counts moves nodes as a small signal does."""
    with _opened(make) as chip:
        can = chip.capabilities
        if not (can.oscillating and Injection in can.nudges and can.access is Access.NODES):
            return
        (free,) = chip.measure([_free(chip)])
        small = replace(_free(chip), nudge=Injection(_beta(chip) * _targets(chip)), phase="small-signal", about=free)
        still, slow = chip.measure([small, replace(small, frequency=1e-3)])
        _close(slow.outputs, still.outputs, 3 * _tolerance(chip, free), "outputs that oscillate slowly")


def a_reversal_keeps_the_free_state(make: MakeChip) -> None:
    """One-way parts that are reversed about the free state leave that state as it is while nothing nudges."""
    with _opened(make) as chip:
        can = chip.capabilities
        if not (can.reversal and Injection in can.nudges and can.access is Access.NODES):
            return
        (free,) = chip.measure([_free(chip)])
        nothing = Injection(np.zeros_like(_targets(chip)))
        (kept,) = chip.measure([replace(_free(chip), nudge=nothing, phase="reversed", reversal=free)])
        _alike(chip, kept, free, "one-way parts reversed about the free state")


def the_ledger_counts_what_was_asked(make: MakeChip) -> None:
    """A ledger, where there is one, counts samples settled, voltages set, nodes looked at and cells written."""
    with _opened(make) as chip:
        start = ledger_of(chip)
        if start is None:
            return
        drives, circuit = _drives(chip), chip.circuit
        samples, outputs = len(drives[0].inputs), len(circuit.outputs)
        readings = chip.measure(drives)
        counted = _since(chip, start)
        nudged = sum(drive.nudge is not None for drive in drives)
        _equal("phases", counted.phases, samples * len(drives))
        _equal("nodes read", counted.nodes_read, samples * outputs * len(drives))
        least, most = (samples * (times * circuit.input_pins + nudged * outputs) for times in (1, len(drives)))
        volts = counted.voltages_set  # phases share their inputs, unless converters set them anew
        assert least <= volts <= most, f"the ledger counts {volts} voltages set, of {least} to {most}"
        if chip.capabilities.access is Access.NODES:
            for reading in readings:
                assert reading.nodes is not None
            inner = max(0, len(circuit.nodes) - len(circuit.held_nodes) - outputs)
            _equal("nodes read", _since(chip, start).nodes_read, samples * (outputs + inner) * len(drives))
        start = ledger_of(chip) or start
        written = chip.adjust(_changes(chip, 0.02))
        least, most = sum(int(np.count_nonzero(g)) for g in written), sum(g.size for g in written)
        cells = _since(chip, start).conductances_written
        assert least <= cells <= most, f"the ledger counts {cells} cells written, of {least} to {most}"


def closing_twice_is_closing_once(make: MakeChip) -> None:
    """A chip can be closed again, and another one of the same making goes on."""
    chip, other = make(), make()
    try:
        chip.close()
        chip.close()
        other.measure(_drives(other))
    finally:
        other.close()


CHIP_CHECKS: tuple[Callable[[MakeChip], None], ...] = (
    measuring_changes_no_conductance,
    the_same_drives_read_the_same,
    the_same_step_writes_the_same,
    a_batch_reads_what_its_samples_read,
    an_empty_batch_reads_nothing,
    nodes_are_read_where_there_is_access,
    programming_writes_what_cells_can_hold,
    programming_refuses_what_no_cell_can_hold,
    adjusting_says_what_it_wrote,
    adjusting_refuses_what_is_not_finite,
    wrong_drives_are_refused,
    what_it_cannot_do_is_refused,
    a_nudge_of_zero_is_the_free_phase,
    a_spring_is_the_current_that_it_draws,
    a_current_gives_its_outputs_power,
    a_clamp_holds_its_outputs,
    a_small_signal_is_proportional_to_its_current,
    a_slow_oscillation_is_a_small_signal,
    a_reversal_keeps_the_free_state,
    the_ledger_counts_what_was_asked,
    closing_twice_is_closing_once,
)
"""All checks."""


@contextmanager
def _opened(make: MakeChip) -> Iterator[Chip]:
    chip = make()
    try:
        yield chip
    finally:
        chip.close()


def _random(chip: Chip, columns: int, seed: int) -> Array:
    """About a volt, ``[samples, columns]``, always the same."""
    samples = min(_SAMPLES, chip.capabilities.largest_batch or _SAMPLES)
    return np.random.default_rng(seed).uniform(-1, 1, (samples, columns))


def _free(chip: Chip) -> Drive:
    return Drive(_random(chip, chip.circuit.channels, 0))


def _targets(chip: Chip) -> Array:
    return _random(chip, len(chip.circuit.outputs), 1)


def _beta(chip: Chip) -> float:
    """S: a third of what the outputs see of the network, so that springs of either sign leave it stable."""
    return Branches(chip.circuit).programmed(chip.conductances).output_conductance() / 3


def _drives(chip: Chip) -> list[Drive]:
    """A free phase, and every nudge that the chip knows."""
    free, beta, y = _free(chip), _beta(chip), _targets(chip)
    nudges = {"nudged +β": Spring(beta, y), "nudged −β": Spring(-0.3 * beta, y)}
    nudges |= {"injected": Injection(beta * y), "clamped": Clamp(y)}  # type: ignore[dict-item]
    known = {name: nudge for name, nudge in nudges.items() if type(nudge) in chip.capabilities.nudges}
    return [free, *(replace(free, nudge=nudge, phase=name) for name, nudge in known.items())]


def _changes(chip: Chip, share: float) -> list[Array]:
    """S: changes by such a share of each range, up and down by chance; where it is small, cells stay in their range."""
    rng = np.random.default_rng(2)
    changes = []
    for cells, g in zip(chip.circuit.arrays, chip.conductances, strict=True):
        change = share * (cells.g_max - cells.g_min) * rng.choice([-1.0, 1.0], g.shape)
        inside = (g + change >= cells.g_min) & (g + change <= cells.g_max)
        changes.append(change if abs(share) > 1 else np.where(inside, change, -change))
    return changes


def _of_row(nudge: Nudge | None, row: slice) -> Nudge | None:
    match nudge:
        case Spring(beta, targets):
            return Spring(beta, targets[row])
        case Injection(current):
            return Injection(current[row])
        case Clamp(volts):
            return Clamp(volts[row])
    return None


def _wrong(chip: Chip) -> dict[str, Sequence[Drive]]:
    """Drives that do not fit, by what is wrong with them."""
    x, channels, outputs = _free(chip).inputs, chip.circuit.channels, len(chip.circuit.outputs)
    wrong: dict[str, Sequence[Drive]] = {
        "no drive": [],
        "inputs of another number of channels": [Drive(np.zeros((1, channels + 1)))],
        "inputs that are not finite": [Drive(np.full((1, channels), np.nan))],
        "drives of different numbers of samples": [Drive(x), Drive(x[:0])],
    }
    bad = np.zeros((len(x), outputs + 1)), np.full((len(x), outputs), np.inf)
    for values, what in zip(bad, ("for another number of outputs", "that is not finite"), strict=True):
        for nudge in (Spring(_beta(chip), values), Injection(values), Clamp(values)):
            if type(nudge) in chip.capabilities.nudges:
                wrong[f"{type(nudge).__name__} {what}"] = [Drive(x, nudge, "nudged")]
    return wrong


def _tolerance(chip: Chip, reading: Reading) -> float:
    """V that two readings of the same may differ by."""
    volts = reading.outputs if reading.volts is None else reading.volts
    return chip.capabilities.tolerance * max(1.0, float(np.abs(volts).max(initial=0.0)))


def _alike(chip: Chip, found: Reading, wanted: Reading, what: str) -> None:
    """Within twice the tolerance, for both may be off."""
    _close(found.outputs, wanted.outputs, 2 * _tolerance(chip, wanted), f"outputs: {what}")
    if wanted.volts is not None:
        _close(found.all_nodes, wanted.all_nodes, 2 * _tolerance(chip, wanted), f"nodes: {what}")


def _same_readings(chip: Chip, found: Sequence[Reading], wanted: Sequence[Reading], what: str) -> None:
    for one, other in zip(found, wanted, strict=True):
        if chip.capabilities.reproducible:
            _same_bits([one.outputs], [other.outputs], f"outputs: {what}")
        else:
            _alike(chip, one, other, what)


def _same_bits(found: Sequence[Array], wanted: Sequence[Array], what: str) -> None:
    same = len(found) == len(wanted) and all(a.tobytes() == b.tobytes() for a, b in zip(found, wanted, strict=True))
    assert same, f"{what} are not the same bit for bit"


def _close(found: Array, wanted: Array, tolerance: float, what: str) -> None:
    assert found.shape == wanted.shape, f"{what}: shape {found.shape}, expected {wanted.shape}"
    worst = float(np.abs(found - wanted).max(initial=0.0))
    assert worst <= tolerance, f"{what}: off by {worst:.3g}, allowed are {tolerance:.3g}"


def _equal(what: str, found: int, wanted: int) -> None:
    assert found == wanted, f"the ledger counts {found} {what}, {wanted} were asked for"


def _within_range(chip: Chip) -> None:
    for cells, g in zip(chip.circuit.arrays, chip.conductances, strict=True):
        inside = g.min() >= cells.g_min and g.max() <= cells.g_max
        assert inside, f"{cells.title}: {g.min():g} S…{g.max():g} S, its cells reach {cells.g_min:g}…{cells.g_max:g} S"


def _since(chip: Chip, start: Ledger) -> Ledger:
    return (ledger_of(chip) or start) - start


def _refused(kind: type[HarnessError], attempt: Callable[[], object], what: str) -> None:
    try:
        attempt()
    except kind as error:
        said = str(error)
    else:
        raise AssertionError(f"{what} was not refused")
    assert " " in said, f"{what} was refused with {said!r}, which is no sentence"
