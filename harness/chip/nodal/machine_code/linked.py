"""The loops of `harness.chip.nodal.loops.kernel` as an object file, which LLVM alone links into this process.

Its code calls a few functions of the C library, and none of Numba's or of Python's, so that it runs without both.
"""

import ctypes
from typing import Any, Final

import numpy as np
from llvmlite import binding

from harness.errors import ChipError
from harness.measurement import Array, Index

ENTRY: Final = "harness_nodal_loops"
"""Name of the function of an object file that is called: `harness.chip.nodal.loops.entry.entry`."""
EXTERNAL: Final = ("log", "log1p", "memcpy", "memmove", "memset")
"""Functions of the C library that an object file may call."""
_REAL, _WHOLE = np.dtype(np.float64), np.dtype(np.intp)
_KINDS = [_WHOLE] * 4 + [_REAL] * 7 + [_WHOLE] + [_REAL] * 2 + [_WHOLE]
_Bytes = ctypes.c_char * 0
_Numbers = ctypes.c_int64 * 3
_Function = ctypes.CFUNCTYPE(
    ctypes.c_int,
    ctypes.POINTER(_Numbers),  # what it returns
    ctypes.POINTER(ctypes.c_void_p),  # an exception, of which there is none
    ctypes.c_void_p,
    ctypes.c_double,
    ctypes.c_int64,
)


def initialize() -> None:
    """Have LLVM know this machine's processors; as often as one likes."""
    binding.initialize_native_target()
    binding.initialize_native_asmprinter()


def linked(code: bytes) -> Any:
    """Return LLVM's engine with an object file in it, which lives as long as that.

    Raises:
        ChipError: the C library lacks a function.
    """
    library = ctypes.CDLL(None)
    for name in EXTERNAL:
        function = getattr(library, name, None)
        if function is None:
            raise ChipError(f"the nodal chip's machine code needs {name} of the C library, which Python was not given")
        binding.add_symbol(name, ctypes.cast(function, ctypes.c_void_p).value)
    initialize()
    machine = binding.Target.from_default_triple().create_target_machine(jit=True)
    engine = binding.create_mcjit_compiler(binding.parse_assembly(""), machine)
    engine.add_object_file(binding.ObjectFileRef.from_data(code))
    engine.finalize_object()
    return engine


class Loops:
    """`harness.chip.nodal.loops.kernel.settle` as machine code; threads may call it at the same time.

    Raises:
        ChipError: see `linked`.
    """

    def __init__(self, code: bytes) -> None:
        self._engine = linked(code)
        self._entry = _Function(self._engine.get_function_address(ENTRY))

    def __call__(self, *given: Any) -> tuple[int, int, int]:
        """See `harness.chip.nodal.loops.kernel.settle`.

        Raises:
            TypeError: an array is not whole (C-contiguous) or cannot be written, or is of other numbers.
        """
        *first, tolerance, iterations, solved, memory, numbers = given
        arrays: list[Array | Index] = [*first, solved, memory, numbers]
        if [array.dtype for array in arrays] != _KINDS:
            raise TypeError("the loops take arrays of float64 and of intp alone, each in its place")
        unknowns, begins, junctions, outputs, laws, conductances, currents, rails, pushed, _, _, order = first
        lengths = [*map(len, (unknowns, begins, junctions, outputs, laws, conductances, currents, solved))]
        lengths += [rails.shape[2], len(pushed), len(order), len(memory), len(numbers)]
        call = np.array([*map(_address, arrays), *lengths], _WHOLE)
        found = _Numbers()
        if failed := self._entry(found, None, _address(call), tolerance, iterations):
            raise ChipError(f"the nodal chip's machine code ended with status {failed}")
        status, sample, phase = found
        return status, sample, phase


def _address(array: Array | Index) -> int:
    return ctypes.addressof(_Bytes.from_buffer(array))  # type: ignore[arg-type]  # NumPy's stubs do not say so
