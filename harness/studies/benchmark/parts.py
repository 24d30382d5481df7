"""The parts of a training step, and the time that each takes.

The code that is timed knows nothing of it: while a step is timed, the functions of `PARTS` are replaced by ones that
tell a stopwatch when they begin and end. The stopwatch charges every moment to one part alone, the innermost that is
at work, so that nested calls count once and all shares add up to 1.
"""

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial, wraps
from pkgutil import resolve_name
from types import ModuleType
from typing import Any

from harness.chip.base import Chip
from harness.chip.ngspice.session import open_session
from harness.learning.rules.base import LearningRule
from harness.learning.updates.updates import UpdateRule

ANALYSIS, RECORDING, REST = "analysis", "recording", "rest"
NGSPICE, NODAL = "ngspice", "nodal"


@dataclass(frozen=True)
class Part:
    """A part of a training step."""

    name: str
    meaning: str
    functions: tuple[str, ...] = ()
    """Functions, as ``module:name`` or ``module:class.name``, that are at work for it."""
    chips: tuple[str, ...] = ()
    """Kinds of chips whose steps have it; every kind if none is named."""

    def is_of(self, kind: str) -> bool:
        """Return True where the steps of a kind of chip have this part."""
        return not self.chips or kind in self.chips


PARTS = (
    Part(ANALYSIS, "ngspice finds operating points", chips=(NGSPICE,)),
    Part(
        "parser",
        "ngspice reads the circuit, and is told its conductances",
        ("harness.chip.ngspice.session:Session._load", "harness.chip.ngspice.session:Session._prepare"),
        (NGSPICE,),
    ),
    Part(
        "text",
        "the circuit is written, and the values of its sources at every point",
        (
            "harness.netlist.decks.batch:batch_sweep",
            "harness.netlist.decks.full_batch:full_batch_lines",
        ),
        (NGSPICE,),
    ),
    Part(
        "hand-over",
        "a sweep is begun, voltages come back, and ngspice forgets them",
        (
            "harness.chip.ngspice.session:Session.sweep",
            "harness.chip.ngspice.session:Session.measured_batch",
            "harness.chip.ngspice.session:open_session",
        ),
        (NGSPICE,),
    ),
    Part(
        "estimate",
        "the nodal solver says where ngspice is to begin",
        ("harness.chip.ngspice.worker:_estimate",),
        (NGSPICE,),
    ),
    Part(
        "solver",
        "the nodal solver finds operating points",
        ("harness.chip.nodal.newton:settle", "harness.chip.nodal.unreduced:_Solver.settle_block"),
        (NODAL,),
    ),
    Part(
        "reduction",
        "the circuit is reduced, and all voltages are found again",
        (
            "harness.circuit.reduction.reduction:Reduction.reduce",
            "harness.circuit.reduction.reduction:ReducedCircuit.settling",
            "harness.circuit.reduction.reduction:ReducedCircuit.readings",
            "harness.chip.base:SimulatedChip._refuse_unstable",
        ),
    ),
    Part("gradient", "the learning rule makes a gradient of what was read"),
    Part("update", "the update rule makes changes of the gradient, and the chip writes them"),
    Part(RECORDING, "the loop around the step: rows, position, ledger, tables"),
    Part(REST, "everything else in the step: phases, checks, cost", ("harness.training.controller:train_step",)),
)
"""Parts of a step. Where no function is named, the rule's, the update's and the chip's own are timed, ngspice's clock
is read, or it is what the others leave."""
NAMES = tuple(part.name for part in PARTS)


class Stopwatch:
    """Charges time to the part that is at work; `analysed` gives the seconds that ngspice's analyses took so far.

    Seconds of analysis are taken off whatever part they pass in. Calls from several threads are
    fine as long as only one of them is at work at a time, the others waiting for it.
    """

    def __init__(self, analysed: Callable[[], float] = lambda: 0.0, clock: Callable[[], float] = time.perf_counter):
        self.seconds = dict.fromkeys(NAMES, 0.0)
        """Time of each part so far, s."""
        self.calls: Counter[str] = Counter()
        """Number of calls of each function."""
        self._inside: list[str] = []
        self._analysed, self._clock = analysed, clock
        self._last, self._last_analysed = 0.0, 0.0

    @contextmanager
    def inside(self, part: str) -> Iterator[None]:
        """Charge the block to a part, but for what is inside another one in it."""
        self._charge()
        self._inside.append(part)
        try:
            yield
        finally:
            self._charge()
            self._inside.pop()

    def timing(self, part: str, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function that does the same, and charges its time."""

        @wraps(function)
        def timed(*args: Any, **kwargs: Any) -> Any:
            self.calls[name] += 1
            with self.inside(part):
                return function(*args, **kwargs)

        return timed

    def _charge(self) -> None:
        now, analysed = self._clock(), self._analysed()
        if self._inside:
            analysis = analysed - self._last_analysed
            self.seconds[ANALYSIS] += analysis
            self.seconds[self._inside[-1]] += now - self._last - analysis
        self._last, self._last_analysed = now, analysed


def shares(watches: Sequence[Stopwatch]) -> dict[str, float]:
    """Return the share of each part in all that some stopwatches have charged; they add up to 1."""
    seconds = {name: sum(watch.seconds[name] for watch in watches) for name in NAMES}
    total = sum(seconds.values())
    return {name: spent / total for name, spent in seconds.items()}


@contextmanager
def timed(chip: Chip, rule: LearningRule[Any], update: UpdateRule, kind: str) -> Iterator[Stopwatch]:
    """Give a stopwatch that is told of every part of the steps that the block does on a chip, whose `kind` is given."""
    watch = Stopwatch(_seconds_of_ngspice() if kind == NGSPICE else lambda: 0.0)
    with ExitStack() as stack:
        for part in PARTS:
            for name in part.functions if part.is_of(kind) else ():
                stack.enter_context(_replaced(name, partial(watch.timing, part.name, name)))
        own = ((rule, "gradient", "gradient"), (update, "step", "update"), (chip, "adjust", "update"))
        for owner, method, named in own:
            stack.enter_context(_method_replaced(type(owner), method, watch, named))
        yield watch


def _seconds_of_ngspice() -> Callable[[], float]:
    session = open_session()
    return lambda: session.analysis_seconds


@contextmanager
def _replaced(name: str, replace: Callable[[Callable[..., Any]], Callable[..., Any]]) -> Iterator[None]:
    """Put another function in the place of one, wherever this package has it, for the block."""
    module, _, path = name.partition(":")
    *owners, attribute = path.split(".")
    owner = resolve_name(f"{module}:{'.'.join(owners)}" if owners else module)
    function = vars(owner)[attribute]
    places = [owner] if owners else [place for place in _modules() if vars(place).get(attribute) is function]
    with _set([(place, attribute) for place in places], replace(function), function):
        yield


@contextmanager
def _set(places: Sequence[tuple[Any, str]], new: object, old: object) -> Iterator[None]:
    for place, attribute in places:
        setattr(place, attribute, new)
    try:
        yield
    finally:
        for place, attribute in places:
            setattr(place, attribute, old)


@contextmanager
def _method_replaced(owner: type, name: str, watch: Stopwatch, part: str) -> Iterator[None]:
    """Time a method of a class for the block, also one that the class inherits."""
    own: Mapping[str, Any] = vars(owner)
    inherited, function = name not in own, getattr(owner, name)
    setattr(owner, name, watch.timing(part, f"{owner.__qualname__}.{name}", function))
    try:
        yield
    finally:
        if inherited:
            delattr(owner, name)
        else:
            setattr(owner, name, function)


def _modules() -> list[ModuleType]:
    return [module for name, module in [*sys.modules.items()] if name.split(".")[0] == "harness" and module]
