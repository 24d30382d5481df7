"""Feed: values that ngspice asks for while it iterates, and voltages that it tells after every point of a sweep.

A circuit that stays loaded has sources whose values ngspice fetches by a call for each of them in each iteration. Such
calls must be of the speed of ngspice's own code, so that they are machine code, which LLVM makes here of a few lines. A
source called ``i12`` or ``v12`` takes column 12 of a table with a row for each point: that of `first` in the first
iteration of a point, that of `then` in all others.
"""

from functools import cache
from typing import Any

import numpy as np

from harness.measurement import Array
from harness.netlist.decks.loaded import Table

_CODE = """
; point that is being solved, number of points, columns, tables of doubles, the point that each column last served, the
; voltages told so far, and the number of iterations, which is how often the first column was asked for
%Feed = type { i64, i64, i64, ptr, ptr, ptr, ptr, i64 }

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
  %countat = getelementptr %Feed, ptr %feed, i64 0, i32 7
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
  %some = icmp sgt i32 %count, 0
  %keep = and i1 %within, %some
  br i1 %keep, label %keeping, label %done
keeping:
  %vectorsat = getelementptr i8, ptr %data, i64 8
  %vectors = load ptr, ptr %vectorsat
  %keptat = getelementptr %Feed, ptr %feed, i64 0, i32 6
  %kept = load ptr, ptr %keptat
  %wide = zext i32 %count to i64
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
"""
_FIELDS = 8
"""Numbers in a ``%Feed``."""


class Feed:
    """Memory that ngspice reads values from, and writes voltages to."""

    def __init__(self) -> None:
        self._memory = np.zeros(_FIELDS, np.int64)
        self._held: tuple[Any, ...] = ()
        self.address = self._memory.ctypes.data

    @property
    def told(self) -> int:
        """Number of points that ngspice has told since `begin`."""
        return int(self._memory[0])

    @property
    def iterations(self) -> int:
        """Number of Newton iterations since `begin`."""
        return int(self._memory[-1])

    def begin(self, table: Table, vectors: int) -> Array:
        """Serve a table from its first point on; returns where voltages will be, ``[points, vectors]``.

        One point more is served than there is: ngspice may ask for it while it ends.
        """
        points, columns = table.then.shape
        then = np.concatenate([table.then, table.then[-1:]])
        first = then if table.first is table.then else np.concatenate([table.first, table.first[-1:]])
        served, kept = np.full(columns, -1, np.int64), np.full((points, vectors), np.nan)
        self._held = (first, then, served, kept)
        self._memory[:] = (0, points, columns, *(part.ctypes.data for part in self._held), 0)
        return kept

    def end(self) -> None:
        """Serve nothing more, and keep no voltages."""
        self._memory[:2] = 0


@cache
def _compiled() -> tuple[Any, int, int]:
    from llvmlite import binding  # noqa: PLC0415 - it takes a tenth of a second

    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    machine = binding.Target.from_default_triple().create_target_machine(opt=2)
    module = binding.parse_assembly(_CODE)
    module.verify()
    engine = binding.create_mcjit_compiler(module, machine)
    engine.finalize_object()
    return engine, engine.get_function_address("value"), engine.get_function_address("told")


def functions() -> tuple[int, int]:
    """Return the addresses of the functions that give a source's value, and that take the voltages of a point."""
    _, value, told = _compiled()
    return value, told
