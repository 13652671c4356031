"""What compiled code may tell the processor and Numba has no words for."""

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic
from numba.np.arrayobj import make_array

_intrinsic: Any = intrinsic
_make_array: Any = make_array
_item_pointer: Any = cgutils.get_item_pointer


@_intrinsic
def smaller(_typing: Any, a: Any, _b: Any) -> Any:
    """The smaller of two floats, neither of them NaN.

    ``min`` loses that promise on its way through Numba, and LLVM makes no vector code of a loop that ends in it.
    """

    def build(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        promised = ("nnan", "nsz")
        return builder.select(builder.fcmp_ordered("<", *arguments, flags=promised), *arguments, flags=promised)

    return a(a, a), build


@_intrinsic
def prefetch(_typing: Any, array: Any, index: Any) -> Any:
    """Ask for ``array[index]`` to be brought near, without waiting; an index out of bounds does no harm."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = signature.args[0]
        view = _make_array(kind)(context, builder, arguments[0])
        place = context.cast(builder, arguments[1], signature.args[1], types.intp)
        address = _item_pointer(context, builder, kind, view, [place])
        pointer, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        shape = ir.FunctionType(ir.VoidType(), [pointer, number, number, number])
        read, keep, data = (ir.Constant(number, value) for value in (0, 3, 1))
        fetch = builder.module.declare_intrinsic("llvm.prefetch", (pointer,), shape)
        builder.call(fetch, [builder.bitcast(address, pointer), read, keep, data])
        return context.get_dummy_value()

    return types.void(array, index), build
