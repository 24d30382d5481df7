"""The functions of `harness.chip.nodal.loops.memory` as Numba compiles them: arrays of addresses, without an owner.

Numba counts references to every array that it makes or hands on, by functions of a library of its own, which is loaded
with it. Arrays that are made here have no owner, and are only read and written, so that machine code does without.
"""

# mypy: disable-error-code="no-untyped-call"

from typing import Any

from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.arrayobj import make_array, populate_array


def _array(context: Any, builder: Any, kind: Any, data: Any, lengths: list[Any]) -> Any:
    """Return the value of a whole array of some type, whose numbers begin at a pointer."""
    array = make_array(kind)(context, builder)
    size = context.get_constant(types.intp, 8)
    strides = [size]
    for length in reversed(lengths[1:]):
        strides.insert(0, builder.mul(strides[0], length))
    shape, steps = (cgutils.pack_array(builder, numbers) for numbers in (lengths, strides))
    populate_array(array, data=data, shape=shape, strides=steps, itemsize=size, meminfo=None)
    return array._getvalue()


def _lengths(shape: Any) -> Any:
    """Return the type of a shape's lengths, which are whole numbers."""
    return types.UniTuple(types.intp, len(shape))


@intrinsic
def cut(_typing: Any, memory: Any, shape: Any) -> Any:
    """See `harness.chip.nodal.loops.memory.cut`."""
    part = types.Array(memory.dtype, len(shape), "C")

    def made(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        whole = make_array(memory)(context, builder, values[0])
        lengths = cgutils.unpack_tuple(builder, values[1])
        size = context.get_constant(types.intp, 1)
        for length in lengths:
            size = builder.mul(size, length)
        left = builder.sub(cgutils.unpack_tuple(builder, whole.shape)[0], size)
        behind = builder.gep(whole.data, [size])
        parts = (
            _array(context, builder, part, whole.data, lengths),
            _array(context, builder, memory, behind, [left]),
        )
        return context.make_tuple(builder, signature.return_type, parts)

    return types.Tuple((part, memory))(memory, _lengths(shape)), made


def _at(dtype: Any) -> Any:
    """Return a function that makes an array of numbers of a type at an address."""

    @intrinsic
    def made(_typing: Any, _address: Any, shape: Any) -> Any:
        kind = types.Array(dtype, len(shape), "C")

        def lowered(context: Any, builder: Any, _: Any, values: Any) -> Any:
            data = builder.inttoptr(values[0], context.get_data_type(dtype).as_pointer())
            return _array(context, builder, kind, data, cgutils.unpack_tuple(builder, values[1]))

        return kind(types.intp, _lengths(shape)), lowered

    return made


reals, wholes = _at(types.float64), _at(types.intp)
