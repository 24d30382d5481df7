"""Feed: values that ngspice asks for while it iterates, and what it tells: voltages of every point, and lines of text.

A circuit that stays loaded has sources whose values ngspice fetches by a call for each of them in each iteration. Such
calls must be of the speed of ngspice's own code, so that they are machine code, which LLVM makes here of a few lines.
Nothing that ngspice calls while it works is Python, in which an exception of Ctrl-C would be raised, and be lost.

A source called ``i12`` or ``v12`` takes column 12 of a table with a row for each point: that of `first` in the first
iteration of a point, that of `then` in all others.
"""

from functools import cache
from typing import Any

import numpy as np

from harness.errors import SimulatorError
from harness.measurement import Array
from harness.netlist.decks.loaded import Table

_CODE = """
; point that is being solved, number of points, columns, tables of doubles, the point that each column last served, the
; voltages told so far, number of vectors, the number of iterations, which is how often the first column was asked for,
; ngspice's description of its vectors, lines of text, and how many bytes of them there are and may be
%Feed = type { i64, i64, i64, ptr, ptr, ptr, ptr, i64, i64, ptr, ptr, i64, i64 }

; ngspice's GetVSRCData and GetISRCData: write a source's value to where it is wanted
define i32 @value(ptr %wanted, double %time, ptr %name, i32 %simulator, ptr %feed) {
start:
  br label %digits
digits:
  %place = phi i64 [ 1, %start ], [ %next, %more ]
  %column = phi i64 [ 0, %start ], [ %number, %more ]
  %at = getelementptr i8, ptr %name, i64 %place
  %letter = load i8, ptr %at
  %digit = sub i8 %letter, 48
  %isdigit = icmp ult i8 %digit, 10
  br i1 %isdigit, label %more, label %found
more:
  %wide = zext i8 %digit to i64
  %tens = mul i64 %column, 10
  %number = add i64 %tens, %wide
  %next = add i64 %place, 1
  br label %digits
found:
  %point = load i64, ptr %feed
  %columnsat = getelementptr %Feed, ptr %feed, i64 0, i32 2
  %columns = load i64, ptr %columnsat
  %servedat = getelementptr %Feed, ptr %feed, i64 0, i32 5
  %served = load ptr, ptr %servedat
  %lastat = getelementptr i64, ptr %served, i64 %column
  %last = load i64, ptr %lastat
  store i64 %point, ptr %lastat
  %isfirst = icmp eq i64 %column, 0
  %one = zext i1 %isfirst to i64
  %countat = getelementptr %Feed, ptr %feed, i64 0, i32 8
  %count = load i64, ptr %countat
  %counted = add i64 %count, %one
  store i64 %counted, ptr %countat
  %again = icmp eq i64 %last, %point
  %which = select i1 %again, i32 4, i32 3
  %firstat = getelementptr %Feed, ptr %feed, i64 0, i32 3
  %first = load ptr, ptr %firstat
  %thenat = getelementptr %Feed, ptr %feed, i64 0, i32 4
  %then = load ptr, ptr %thenat
  %table = select i1 %again, ptr %then, ptr %first
  %row = mul i64 %point, %columns
  %index = add i64 %row, %column
  %valueat = getelementptr double, ptr %table, i64 %index
  %value = load double, ptr %valueat
  store double %value, ptr %wanted
  ret i32 0
}

; ngspice's SendData: keep the voltages of a point, and go on to the next
define i32 @told(ptr %data, i32 %count, i32 %simulator, ptr %feed) {
start:
  %point = load i64, ptr %feed
  %after = add i64 %point, 1
  store i64 %after, ptr %feed
  %pointsat = getelementptr %Feed, ptr %feed, i64 0, i32 1
  %points = load i64, ptr %pointsat
  %within = icmp slt i64 %point, %points
  %wide = zext i32 %count to i64
  %widthat = getelementptr %Feed, ptr %feed, i64 0, i32 7
  %width = load i64, ptr %widthat
  %fits = icmp eq i64 %width, %wide
  %keep = and i1 %within, %fits
  br i1 %keep, label %keeping, label %done
keeping:
  %vectorsat = getelementptr i8, ptr %data, i64 8
  %vectors = load ptr, ptr %vectorsat
  %keptat = getelementptr %Feed, ptr %feed, i64 0, i32 6
  %kept = load ptr, ptr %keptat
  %begin = mul i64 %point, %wide
  br label %each
each:
  %k = phi i64 [ 0, %keeping ], [ %next, %each ]
  %vectorat = getelementptr ptr, ptr %vectors, i64 %k
  %vector = load ptr, ptr %vectorat
  %realat = getelementptr i8, ptr %vector, i64 8
  %real = load double, ptr %realat
  %index = add i64 %begin, %k
  %placeat = getelementptr double, ptr %kept, i64 %index
  store double %real, ptr %placeat
  %next = add i64 %k, 1
  %more = icmp slt i64 %next, %wide
  br i1 %more, label %each, label %done
done:
  ret i32 0
}

; ngspice's SendInitData: remember where the vectors are described
define i32 @announced(ptr %vectors, i32 %simulator, ptr %feed) {
  %at = getelementptr %Feed, ptr %feed, i64 0, i32 9
  store ptr %vectors, ptr %at
  ret i32 0
}

; ngspice's SendChar: keep a line and the zero behind it; of one that does not fit, what fits
define i32 @said(ptr %line, i32 %simulator, ptr %feed) {
start:
  %linesat = getelementptr %Feed, ptr %feed, i64 0, i32 10
  %lines = load ptr, ptr %linesat
  %usedat = getelementptr %Feed, ptr %feed, i64 0, i32 11
  %used = load i64, ptr %usedat
  %roomat = getelementptr %Feed, ptr %feed, i64 0, i32 12
  %room = load i64, ptr %roomat
  br label %each
each:
  %k = phi i64 [ 0, %start ], [ %next, %copy ]
  %place = phi i64 [ %used, %start ], [ %behind, %copy ]
  %fits = icmp slt i64 %place, %room
  br i1 %fits, label %copy, label %done
copy:
  %letterat = getelementptr i8, ptr %line, i64 %k
  %letter = load i8, ptr %letterat
  %placeat = getelementptr i8, ptr %lines, i64 %place
  store i8 %letter, ptr %placeat
  %next = add i64 %k, 1
  %behind = add i64 %place, 1
  %last = icmp eq i8 %letter, 0
  br i1 %last, label %done, label %each
done:
  %end = phi i64 [ %place, %each ], [ %behind, %copy ]
  store i64 %end, ptr %usedat
  ret i32 0
}
"""
_FIELDS = 13
"""Numbers in a ``%Feed``."""
_ITERATIONS, _ANNOUNCED, _LINES, _USED, _ROOM = 8, 9, 10, 11, 12
_MOST = 1 << 24
"""Bytes of text of one analysis; the memory is only taken as far as it is used."""


class Feed:
    """Memory that ngspice reads values from, and writes voltages to."""

    def __init__(self) -> None:
        self._memory = np.zeros(_FIELDS, np.int64)
        self._held: tuple[Any, ...] = ()
        self._shape = (0, 0, 0)
        self._text = np.zeros(_MOST, np.uint8)
        self._memory[_LINES], self._memory[_ROOM] = self._text.ctypes.data, _MOST
        self.address = self._memory.ctypes.data

    @property
    def told(self) -> int:
        """Number of points that ngspice has told since `begin`."""
        return int(self._memory[0])

    @property
    def iterations(self) -> int:
        """Number of Newton iterations since `begin`."""
        return int(self._memory[_ITERATIONS])

    @property
    def announced(self) -> int:
        """Address of ngspice's description of the vectors of its last analysis."""
        return int(self._memory[_ANNOUNCED])

    def forget_lines(self) -> None:
        """Forget all text."""
        self._memory[_USED] = 0

    def lines(self, stream: str) -> list[str]:
        """Return the lines that ngspice has printed to ``"stdout"`` or ``"stderr"``.

        Raises:
            SimulatorError: they were too many to be kept.
        """
        used = int(self._memory[_USED])
        if used >= _MOST:
            raise SimulatorError(f"ngspice printed more than {_MOST >> 20} MB of text in one analysis")
        said = self._text[:used].tobytes()
        if f"{stream} ".encode() not in said:
            return []
        lines = (line.partition(" ") for line in said.decode("utf-8", "replace").split("\0"))
        return [text for name, _, text in lines if name == stream]

    def begin(self, table: Table, vectors: int) -> Array:
        """Serve a table from its first point on; returns where voltages will be, ``[points, vectors]``, until the next.

        One point more is served than there is: ngspice may ask for it while it ends.
        """
        points, columns = table.then.shape
        if (points, columns, vectors) != self._shape:
            first, then = np.empty((points + 1, columns)), np.empty((points + 1, columns))
            self._held = first, then, np.empty(columns, np.int64), np.empty((points, vectors))
            self._memory[1:_ITERATIONS] = (points, columns, *(part.ctypes.data for part in self._held), vectors)
            self._shape = points, columns, vectors
        first, then, served, kept = self._held
        first[:-1], then[:-1] = table.first, table.then
        first[-1], then[-1] = table.first[-1], table.then[-1]
        served.fill(-1)
        kept.fill(np.nan)
        self._memory[0], self._memory[1], self._memory[_ITERATIONS] = 0, points, 0
        return kept

    def end(self) -> None:
        """Keep no more voltages."""
        self._memory[:2] = 0


@cache
def _compiled() -> Any:
    from llvmlite import binding  # noqa: PLC0415 - it takes a tenth of a second

    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    machine = binding.Target.from_default_triple().create_target_machine(opt=2)
    module = binding.parse_assembly(_CODE)
    module.verify()
    engine = binding.create_mcjit_compiler(module, machine)
    engine.finalize_object()
    return engine


def function(name: str) -> int:
    """Return the address of a function that ngspice may call: ``"value"``, ``"told"``, ``"announced"``, ``"said"``."""
    return int(_compiled().get_function_address(name))
