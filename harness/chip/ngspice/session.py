"""The one ngspice of this process, behind PySpice's binding (`harness.chip.ngspice.binding`).

libngspice keeps its state in globals, so a process has one session however often it is asked for, and does one thing
at a time in it, whichever thread asks (`harness.chip.ngspice.isolation`). Every run loads a deck, sweeps one source,
reads the vectors, checks them, and leaves nothing behind: with the plots destroyed and the circuit removed, memory
stays flat over any number of decks. One circuit may stay: the last one of `Session.sweep`, of which every number is set
anew before each sweep.
"""

import logging
import re
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial, wraps
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

import numpy as np
import numpy.typing as npt

from harness.chip.ngspice.binding import load_binding
from harness.chip.ngspice.feed import Feed
from harness.chip.ngspice.isolation import SimulatorThread
from harness.chip.ngspice.library import find_library
from harness.chip.ngspice.messages import Verdict, telling, worst
from harness.errors import ConvergenceError, NgspiceMissing, SimulatorError
from harness.measurement import Array, Index, all_finite
from harness.netlist.decks.loaded import SOURCE, LoadedCircuit, Table
from harness.units import spice_number

_COMMANDS_BETWEEN_FLUSHES = 1_000
_LOG = logging.getLogger(__name__)
KLU, SPARSE = "KLU", "Sparse 1.3"
_OPTIONS = {KLU: ".options klu pivrel=0.1", SPARSE: ".options sparse"}
"""The options by which a deck asks for each solver, in an ngspice that has both.

KLU keeps the pivots of an operating point's first iterations, where a cell with a curve conducts far less than later,
and takes by default what is a thousandth of its column's largest element. The rounding that such pivots leave is more
than tight tolerances allow: of 117 circuits with such cells 20 did not settle, nearly all with line resistance, and two
reduced layers of 128 nodes were 1e-9 V off. With a tenth all 20 settle and the layers are within 4e-15 V of what Sparse
1.3 gives, in the same time.
"""
_THREAD = SimulatorThread()
_opened: list["Session"] = []
"""The session of this process, once it is open."""

P = ParamSpec("P")
R = TypeVar("R")


def _in_thread(method: "Callable[Concatenate[Session, P], R]") -> "Callable[Concatenate[Session, P], R]":
    """Have a method of the session done in ngspice's thread, as a whole."""

    @wraps(method)
    def called(self: "Session", *args: P.args, **kwargs: P.kwargs) -> R:
        return _THREAD.call(partial(method, self, *args, **kwargs))

    return cast("Callable[Concatenate[Session, P], R]", called)


@dataclass(frozen=True)
class BatchDeck:
    """A netlist whose source is swept over so many points from 0 V on; `vectors` are read at every point."""

    lines: tuple[str, ...]
    source: str
    points: int
    vectors: tuple[str, ...]
    step: int = 1
    """V from point to point."""


class Unsettled(Exception):  # noqa: N818 - becomes a ConvergenceError where sample and phase are known
    """No solution was found; a sweep stopped at `point`."""

    def __init__(self, point: int, log: tuple[str, ...], deck: Path) -> None:
        super().__init__(f"the sweep stopped at point {point}")
        self.point = point
        self.log = log
        self.deck = deck

    def at(self, sample: int, phase: str, settling: int = 0) -> ConvergenceError:
        """Return the error that says which sample in which phase did not settle."""
        message = f"ngspice found no operating point with {open_session().solvers}"
        return ConvergenceError(message, sample=sample, phase=phase, settling=settling, log=self.log, deck=self.deck)


class _UnsolvedError(SimulatorError):
    """The deck was understood, and no solution was found, or only by other means."""


@dataclass(frozen=True, eq=False)
class BatchResult:
    """Result of a sweep: the voltages, and what finding them took."""

    volts: Array
    """V, ``[points, vectors]``."""
    seconds: float
    """Inside ngspice's analysis, s."""
    iterations: int
    """Newton iterations."""
    again: bool = False
    """True where KLU found no solution, and Sparse 1.3 did the sweep again."""


@dataclass(frozen=True, eq=False)
class OscillationResult:
    """Small signals at one frequency, and what finding them took."""

    volts: npt.NDArray[np.complex128]
    """V, ``[points, vectors]``; real parts are in phase with what oscillates."""
    seconds: float
    """Inside ngspice's analyses, s."""
    iterations: int
    """Newton iterations."""
    again: bool = False
    """True where KLU found no solution, and Sparse 1.3 did all points again."""


class Session:
    """ngspice in this process; get it from `open_session`."""

    def __init__(self) -> None:
        self.library = find_library()
        self._feed = Feed()
        self._binding, self._ffi = load_binding(self.library, self._feed)
        self._api: Any = self._binding._ngspice_shared
        self._commands = 0
        self._loaded: tuple[LoadedCircuit, str] | None = None
        self._set: Array | None = None
        self._places: Index | None = None
        self.analysis_seconds = 0.0
        """Time spent inside ngspice's analyses so far, s."""
        self.sparse_runs = 0
        """Analyses so far that KLU did not finish and Sparse 1.3 did again."""
        self.version, self.version_text = self._read_version()
        _LOG.info("ngspice %s from %s", self.version_text, self.library)

    @cached_property
    @_in_thread
    def linear_solver(self) -> str:
        """The solver that computes here, KLU or Sparse 1.3: what ngspice says when a deck asks for KLU.

        Versions before 42 and those that were built without KLU have Sparse 1.3 only, and say nothing or say so.
        """
        self._feed.forget_lines()
        try:
            self._load(("* which solver", _OPTIONS[KLU], "v1 a 0 1", "r1 a 0 1", ".end"))
            self._command("op")
            said = "\n".join(self._feed.lines("stdout") + self._feed.lines("stderr"))
        finally:
            self._forget()
        found = KLU if "Using KLU as Direct Linear Solver" in said else SPARSE
        _LOG.info("ngspice solves with %s", found)
        return found

    @property
    def solvers(self) -> str:
        """The solvers that an analysis tries, in words."""
        return SPARSE if self.linear_solver == SPARSE else f"{self.linear_solver} or {SPARSE}"

    def run_batch(self, deck: BatchDeck) -> Array:
        """Run a deck; returns V, ``[points, vectors]``. Raises what `measured_batch` raises."""
        return self.measured_batch(deck).volts

    @_in_thread
    def measured_batch(self, deck: BatchDeck) -> BatchResult:
        """Run a deck.

        Raises:
            Unsettled: no operating point was found; says at which point of the sweep.
            SimulatorError: ngspice refused the deck, or its answer is incomplete or not finite.
        """
        before = self.sparse_runs
        result = self._analysed(deck.lines, partial(self._run, deck))
        return replace(result, again=self.sparse_runs > before)

    def sweep(self, circuit: LoadedCircuit, gains: Array, table: Table) -> BatchResult:
        """Settle every point of a table in a circuit with the given gains (S), and leave the circuit loaded.

        What was loaded and done before, and in which process, never shows in the result: all gains are set, and ngspice
        orders and factors the matrix of each sweep anew.

        Raises:
            Unsettled: no operating point was found; says at which point of the table.
            SimulatorError: ngspice refused the circuit, or its answer is incomplete or not finite.
        """
        sweep = partial(self._sweep, circuit, gains, table)
        if self._loaded is not None and self._loaded[0].same(circuit):  # no formula is to be parsed
            return _THREAD.here(sweep)
        return _THREAD.call(sweep)

    def _sweep(self, circuit: LoadedCircuit, gains: Array, table: Table) -> BatchResult:
        before = self.sparse_runs
        result = self._solved(lambda option: self._swept(circuit, option, gains, table))
        return replace(result, again=True) if self.sparse_runs > before else result

    def _swept(self, circuit: LoadedCircuit, option: str, gains: Array, table: Table) -> BatchResult:
        try:
            self._feed.forget_lines()
            self._prepare(circuit, option, gains)
            return self._swept_over(circuit, gains, table)
        except BaseException:
            self._unload()
            raise
        finally:
            self._feed.end()
            self._command("destroy all")

    def _prepare(self, circuit: LoadedCircuit, option: str, gains: Array) -> None:
        """Have a circuit loaded, and its gains set."""
        if self._loaded is None or self._loaded[1] != option or not self._loaded[0].same(circuit):
            self._unload()
            self._load(_with(option, circuit.lines))
            self._loaded = (circuit, option)
        if self._set is None or not np.array_equal(self._set, gains):
            self._set = None  # until all of them are
            values = gains.tolist()
            for command, cut in circuit.alterations:
                self._command(command % tuple(values[cut]))
            self._set = gains

    def _swept_over(self, circuit: LoadedCircuit, gains: Array, table: Table) -> BatchResult:
        points, nodes = len(table.then), len(circuit.nodes)
        kept = self._feed.begin(table, nodes + 1)  # the swept voltage is one more
        seconds = self._timed(f"dc {SOURCE} 0 {points - 1} 1")
        said, told = tuple(self._feed.lines("stderr")), self._feed.told
        verdict = worst(said)
        if verdict is not Verdict.NOTE or told != points:
            reached = min(told, points - 1)
            deck = _save(circuit.alone(gains, table.then[reached]))
            if verdict is Verdict.REFUSED:
                raise SimulatorError("ngspice refused a deck", log=telling(said), deck=deck)
            if told < points and verdict is Verdict.UNSETTLED:
                raise Unsettled(reached, telling(said), deck)
            if verdict is Verdict.UNSETTLED:  # some point was reached, but not as an operating point
                raise _UnsolvedError("ngspice reached a point by other means", log=telling(said), deck=deck)
            raise SimulatorError(f"ngspice returned {told} of {points} points", log=said, deck=deck)
        if self._places is None:
            self._places = self._order(circuit.nodes)
        volts = kept.take(self._places, axis=1)
        if not all_finite(volts):
            point, node = np.argwhere(~np.isfinite(volts))[0]
            deck = _save(circuit.alone(gains, table.then[point]))
            raise SimulatorError(f"ngspice returned a voltage of {circuit.nodes[node]} that is not finite", deck=deck)
        return BatchResult(volts, seconds, self._feed.iterations)

    def _order(self, names: Sequence[str]) -> Index:
        """Places of nodes among the vectors that ngspice has announced for this sweep."""
        announced = {name: place for place, name in enumerate(self._binding.vectors())}
        lacking = [name for name in names if name not in announced]
        if lacking or len(announced) != len(names) + 1:
            raise SimulatorError(f"ngspice announced other vectors than it was asked for (no {', '.join(lacking)})")
        return np.array([announced[name] for name in names], np.intp)

    def _unload(self) -> None:
        if self._loaded is not None:
            self._loaded = self._set = self._places = None
            self._command("remcirc")

    def _timed(self, analysis: str) -> float:
        """Do an analysis, and return the seconds that it took."""
        started = time.perf_counter()
        self._command(analysis)
        seconds = time.perf_counter() - started
        self.analysis_seconds += seconds
        return seconds

    @_in_thread
    def operate(self, lines: Sequence[str], vectors: Sequence[str], alterations: Iterable[Sequence[str]]) -> Array:
        """Load a deck once and find an operating point after each of the alterations; V, ``[points, vectors]``.

        Raises:
            SimulatorError: ngspice refused the deck or an alteration, found no operating point, or left no result.
        """
        return self._analysed(lines, partial(self._operate, vectors, [*alterations]))

    @_in_thread
    def oscillate(
        self, lines: Sequence[str], vectors: Sequence[str], frequency: float, alterations: Iterable[Sequence[str]]
    ) -> "OscillationResult":
        """Load a deck once, and find small signals at a frequency (Hz) about the operating point of each alteration.

        Raises:
            Unsettled: no operating point was found; `point` says after which of the alterations.
            SimulatorError: ngspice refused the deck or an alteration, or left no result.
        """
        before = self.sparse_runs
        result = self._analysed(lines, partial(self._oscillate, vectors, frequency, [*alterations]))
        return replace(result, again=self.sparse_runs > before)

    @_in_thread
    def transient(self, lines: Sequence[str], vectors: Sequence[str], step: float, stop: float) -> tuple[Array, Array]:
        """Analyse a deck in time, from 0 to `stop` (s) in steps of at most `step` (s).

        Returns the time (s, ``[points]``), whose steps are the simulator's, and V (A for currents) there,
        ``[points, vectors]``.

        Raises:
            SimulatorError: ngspice refused the deck, or stopped early, or its answer is incomplete or not finite.
        """
        return self._analysed(lines, partial(self._transient, vectors, step, stop))

    def _analysed(self, lines: Sequence[str], analyse: Callable[[Sequence[str]], R]) -> R:
        return self._solved(lambda option: self._alone(_with(option, lines), analyse))

    def _solved(self, analyse: Callable[[str], R]) -> R:
        """Return what an analysis gives with KLU or, where KLU finds no solution, with Sparse 1.3; it takes the option.

        The deck alone decides which: what ran before, and in which process, never shows in a result.
        """
        if self.linear_solver == SPARSE:
            return analyse("")
        try:
            return analyse(_OPTIONS[KLU])
        except (Unsettled, _UnsolvedError) as first:
            if first.deck is not None:
                first.deck.unlink(missing_ok=True)
        found = analyse(_OPTIONS[SPARSE])
        if not self.sparse_runs:
            _LOG.warning("KLU found no solution of a deck; Sparse 1.3 did it again, as it will do others")
        self.sparse_runs += 1
        return found

    def _alone(self, lines: Sequence[str], analyse: Callable[[Sequence[str]], R]) -> R:
        self._unload()
        try:
            self._feed.forget_lines()
            self._load(lines)
            return analyse(lines)
        finally:
            self._forget()

    def _forget(self) -> None:
        self._command("destroy all")
        self._command("remcirc")

    def _operate(self, vectors: Sequence[str], alterations: Sequence[Sequence[str]], lines: Sequence[str]) -> Array:
        points = []
        for commands in alterations:
            for command in commands:
                self._command(command)
            self._command("op")
            self._refuse_failures("at an operating point", lines)
            points.append(self._vectors(vectors, 1, "op", lines)[:, 0])
            self._command("destroy all")
        return np.array(points)

    def _oscillate(
        self, vectors: Sequence[str], frequency: float, alterations: Sequence[Sequence[str]], lines: Sequence[str]
    ) -> "OscillationResult":
        points, seconds, hertz = np.empty((len(alterations), len(vectors)), complex), 0.0, spice_number(frequency)
        for point, commands in enumerate(alterations):
            for command in commands:
                self._command(command)
            seconds += self._timed(f"ac lin 1 {hertz} {hertz}")
            said = tuple(self._feed.lines("stderr"))
            verdict = worst(said)
            if verdict is Verdict.REFUSED:
                raise SimulatorError("ngspice refused a deck", log=telling(said), deck=_save(lines))
            if verdict is Verdict.UNSETTLED:
                raise Unsettled(point, telling(said), _save(lines))
            points[point] = self._vectors(vectors, 1, "ac", lines, complex)[:, 0]
            self._command("destroy all")
        return OscillationResult(points, seconds, self._total_iterations())

    def _transient(self, vectors: Sequence[str], step: float, stop: float, lines: Sequence[str]) -> tuple[Array, Array]:
        self._timed(f"tran {spice_number(step)} {spice_number(stop)} 0 {spice_number(step)}")
        self._refuse_failures("in a transient analysis", lines)
        values = self._vectors(["time", *vectors], self._length("time"), "tran", lines)
        if values.shape[1] < 2 or not abs(values[0, -1] - stop) <= 1e-6 * stop:
            reached = f"{values[0, -1]:g} of {stop:g} s" if values.size else "no point"
            raise _UnsolvedError(f"ngspice's transient analysis reached {reached}", deck=_save(lines))
        return values[0], np.ascontiguousarray(values[1:].T)

    def _refuse_failures(self, where: str, lines: Sequence[str]) -> None:
        said = tuple(self._feed.lines("stderr"))
        verdict = worst(said)
        if verdict is not Verdict.NOTE:
            kind = _UnsolvedError if verdict is Verdict.UNSETTLED else SimulatorError
            raise kind(f"ngspice failed {where}", log=telling(said), deck=_save(lines))

    def _run(self, deck: BatchDeck, lines: Sequence[str]) -> BatchResult:
        seconds = self._timed(f"dc {deck.source} 0 {deck.step * (deck.points - 1)} {deck.step}")
        said = tuple(self._feed.lines("stderr"))
        verdict = worst(said)
        if verdict is Verdict.REFUSED:
            raise SimulatorError("ngspice refused a deck", log=telling(said), deck=_save(lines))
        if verdict is Verdict.UNSETTLED and (done := self._length(deck.vectors[0])) < deck.points:
            raise Unsettled(done, telling(said), _save(lines))
        if verdict is Verdict.UNSETTLED:  # some point was reached, but not as an operating point: nothing says which
            raise _UnsolvedError("ngspice reached a point by other means", log=telling(said), deck=_save(lines))
        iterations = self._total_iterations()
        volts = np.ascontiguousarray(self._vectors(deck.vectors, deck.points, "dc", lines).T)
        return BatchResult(volts, seconds, iterations)

    def _load(self, lines: Sequence[str]) -> None:
        """Hand over the lines as C strings in one block: allocating thousands of them costs as much as parsing them."""
        text = "\0".join([*lines, ""]).encode("ascii")
        block = self._ffi.from_buffer(text)
        ends = np.flatnonzero(np.frombuffer(text, np.uint8) == 0).astype(np.uintp)
        addresses = np.zeros(len(lines) + 1, np.uintp)
        addresses[1:-1] = ends[:-1] + 1
        addresses[:-1] += int(self._ffi.cast("uintptr_t", block))
        self._api.ngSpice_Circ(self._ffi.cast("char **", self._ffi.from_buffer(addresses)))

    def _command(self, text: str) -> None:
        self._commands += 1
        if self._commands % _COMMANDS_BETWEEN_FLUSHES == 0:  # ngspice remembers every command until it is told not to
            self._api.ngSpice_Command(self._ffi.NULL)
        self._api.ngSpice_Command(text.encode("ascii"))

    def _plot(self) -> str:
        return str(self._ffi.string(self._api.ngSpice_CurPlot()).decode("ascii"))

    def _total_iterations(self) -> int:
        self._feed.forget_lines()
        self._command("rusage totiter")
        found = re.search(r"Total iterations = (\d+)", "\n".join(self._feed.lines("stdout")))
        return int(found.group(1)) if found else 0

    def _length(self, name: str) -> int:
        """Points of a vector of the current plot; 0 if there is none."""
        vector = self._api.ngGet_Vec_Info(f"{self._plot()}.{name}".encode("ascii"))
        return 0 if vector == self._ffi.NULL else int(vector.v_length)

    def _vectors(
        self, names: Sequence[str], points: int, kind: str, lines: Sequence[str], dtype: type = float
    ) -> npt.NDArray[Any]:
        """The current plot's vectors, V, ``[vectors, points]``, of real or of complex numbers."""
        plot = self._plot()
        if not plot.startswith(kind):
            raise SimulatorError(f"ngspice left no new result (its plot is {plot!r})", deck=_save(lines))
        values: npt.NDArray[Any] = np.empty((len(names), points), dtype)
        for row, name in enumerate(names):
            vector = self._api.ngGet_Vec_Info(f"{plot}.{name}".encode("ascii"))
            if vector == self._ffi.NULL:
                raise SimulatorError(f"ngspice returned no vector {name}", deck=_save(lines))
            if vector.v_length != points:
                counts = f"{vector.v_length} of {points} points"
                raise SimulatorError(f"ngspice returned {counts} of vector {name}", deck=_save(lines))
            data = vector.v_realdata if dtype is float else vector.v_compdata
            if data == self._ffi.NULL:
                raise SimulatorError(f"ngspice returned vector {name} in another form", deck=_save(lines))
            values[row] = np.frombuffer(self._ffi.buffer(data, values.itemsize * points), dtype)
        if not np.isfinite(values).all():
            name = names[np.argwhere(~np.isfinite(values))[0][0]]
            raise SimulatorError(f"ngspice returned values of vector {name} that are not finite", deck=_save(lines))
        return values

    def _read_version(self) -> tuple[int, str]:
        self._feed.forget_lines()
        self._command("version -f")
        for line in self._feed.lines("stdout"):
            if match := re.search(r"ngspice-(\d+)\S*", line):
                return int(match.group(1)), match.group().removeprefix("ngspice-")
        raise NgspiceMissing(f"{self.library} does not say which ngspice it is")


def open_session() -> Session:
    """The session of this process.

    Raises:
        NgspiceMissing: libngspice is not installed or cannot be loaded; says what to do.
        ChipError: somebody else has opened ngspice in this process before.
    """
    return _opened[0] if _opened else _THREAD.call(_session)


def _session() -> Session:
    if not _opened:
        _opened.append(Session())
    return _opened[0]


def _with(option: str, lines: Sequence[str]) -> list[str]:
    return [lines[0], option, *lines[1:]] if option else [*lines]


def _save(lines: Sequence[str]) -> Path:
    """Keep a failing deck where its user finds it."""
    with tempfile.NamedTemporaryFile("w", prefix="harness-", suffix=".cir", delete=False) as file:
        file.write("\n".join(lines) + "\n")
    return Path(file.name)
