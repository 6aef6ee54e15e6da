"""The inner loops of the native engine, written in LLVM's own language so that they stay in registers.

Each is a numba intrinsic: sums of weight rows, `out = start + sum of scale x row`, that hold a block of columns in
registers from the first row to the last. A column's sum always runs over the rows in order, by fused multiply-adds, so
a stream's numbers are the same bits whether it is made alone (`add_rows`) or beside others (`add_rows_of_four`).

Weights lie in memory in one of three forms, by the table's dtype; offsets and strides count weights in each:

- float32: as they are;
- uint16: the bits of float16; widening costs two cycles for 16 weights on Zen 4;
- uint32: pairs of bfloat16, where 8 significant bits hold every weight exactly. A word holds one column in its upper
  half and the column LANES further in its lower one, so that widening is one `and` or one shift.

Letters: LANES floats to a vector; every width is a multiple of PAIR = 2 x LANES.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import binding, ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic as _intrinsic

intrinsic: Any = _intrinsic  # its type hides that the context argument is numba's own

_AVX512 = bool(binding.get_host_cpu_features().get("avx512f"))
LANES = 16 if _AVX512 else 8
PAIR = 2 * LANES
WIDE = 16 if _AVX512 else 8
"""Vectors of sums held in registers: of 32 registers, or of 16."""
BLOCK = WIDE * LANES
"""The columns that one pass over the rows covers, where the width allows."""
NEVER = -1e30
"""A logit that is never drawn; finite, so that no arithmetic meets infinity."""

_F32, _I16, _I32, _I64 = ir.FloatType(), ir.IntType(16), ir.IntType(32), ir.IntType(64)
_FLOATS, _INTS = ir.VectorType(_F32, LANES), ir.VectorType(_I32, LANES)
_HALVES, _FLAGS = ir.VectorType(ir.HalfType(), LANES), ir.VectorType(ir.IntType(1), LANES)
_ELEMENTS = {types.float32: _F32, types.uint16: _I16, types.uint32: _I16, types.int32: _I32}
Value = Any


def _whole(n: int) -> Value:
    return ir.Constant(_I64, n)


def _all_lanes(constant: float, of: ir.Type = _F32) -> Value:
    return ir.Constant(ir.VectorType(of, LANES), [constant] * LANES)


def _call(b: Any, name: str, result: ir.Type, *args: Value) -> Value:
    function = ir.FunctionType(result, [arg.type for arg in args])
    return b.call(cgutils.get_or_insert_function(b.module, function, name), args)


def _fma(b: Any, x: Value, y: Value, z: Value) -> Value:
    return _call(b, f"llvm.fma.v{LANES}f32", _FLOATS, x, y, z)


def _spread(b: Any, x: Value) -> Value:
    """One float in every lane."""
    vector = b.insert_element(ir.Constant(_FLOATS, ir.Undefined), x, ir.Constant(_I32, 0))
    return b.shuffle_vector(vector, ir.Constant(_FLOATS, ir.Undefined), _all_lanes(0, _I32))


class _Place:
    """A place in an array: what is loaded from and stored to."""

    def __init__(self, b: Any, pointer: Value, dtype: Any) -> None:
        self.b, self.dtype = b, dtype
        self.element = _ELEMENTS[dtype]
        self.pointer = b.bitcast(pointer, self.element.as_pointer())

    def at(self, offset: Value) -> "_Place":
        offset = _whole(offset) if isinstance(offset, int) else offset
        return _Place(self.b, self.b.gep(self.pointer, [offset], source_etype=self.element), self.dtype)

    def scalar(self) -> Value:
        return self.b.load(self.pointer, typ=self.element)

    def vector(self) -> Value:
        return self._load(_FLOATS)

    def weights(self, vectors: int) -> list[Value]:
        """As float32, `vectors` of them (an even number)."""
        b = self.b
        if self.dtype == types.float32:
            return [self.at(k * LANES)._load(_FLOATS) for k in range(vectors)]
        if self.dtype == types.uint16:
            return [b.fpext(self.at(k * LANES)._load(_HALVES), _FLOATS) for k in range(vectors)]
        both = []
        for k in range(0, vectors, 2):
            word = self.at(k * LANES)._load(_INTS)
            both.append(b.bitcast(b.and_(word, _all_lanes(-(1 << 16), _I32)), _FLOATS))
            both.append(b.bitcast(b.shl(word, _all_lanes(16, _I32)), _FLOATS))
        return both

    def _load(self, vector: ir.Type) -> Value:
        return self.b.load(self.b.bitcast(self.pointer, vector.as_pointer()), typ=vector, align=2)

    def prefetch(self) -> None:
        """Into L2."""
        read, moderate, data = (ir.Constant(_I32, k) for k in (0, 2, 1))
        byte = self.b.bitcast(self.pointer, ir.IntType(8).as_pointer())
        _call(self.b, "llvm.prefetch.p0", ir.VoidType(), byte, read, moderate, data)

    def store(self, vector: Value) -> None:
        self.b.store(vector, self.b.bitcast(self.pointer, vector.type.as_pointer()), align=4)


def _place(context: Any, b: Any, typ: Any, value: Value, offset: Value) -> _Place:
    """An offset into an array, or into the float32 array that begins at an address."""
    if isinstance(typ, types.Integer):
        return _Place(b, b.inttoptr(value, _F32.as_pointer()), types.float32).at(offset)
    return _Place(b, context.make_array(typ)(context, b, value).data, typ.dtype).at(offset)


def _loop(
    b: Any,
    count: Value,
    carried: Sequence[Value],
    body: Callable[[Value, list[Value]], Sequence[Value]],
    start: Value | None = None,
    step: int = 1,
) -> tuple[Value, list[Value]]:
    """`for i in range(start, count, step)` as long as a whole step is left; returns the next i and what was carried."""
    before = b.block
    head, inside, after = (b.append_basic_block(name) for name in ("head", "inside", "after"))
    b.branch(head)
    b.position_at_end(head)
    i = b.phi(_I64)
    i.add_incoming(_whole(0) if start is None else start, before)
    values = [b.phi(value.type) for value in carried]
    for phi, value in zip(values, carried, strict=True):
        phi.add_incoming(value, before)
    following = b.add(i, _whole(step))
    b.cbranch(b.icmp_signed("<=", following, count), inside, after)
    b.position_at_end(inside)
    updated = body(i, values)
    i.add_incoming(following, b.block)
    for phi, value in zip(values, updated, strict=True):
        phi.add_incoming(value, b.block)
    b.branch(head)
    b.position_at_end(after)
    return i, values


def _by_columns(b: Any, width: Value, vectors: int, part: Callable[[Value, int], None]) -> None:
    """Cover the columns in blocks of `vectors` vectors, then pair by pair."""

    def body(column: Value, count: int) -> list[Value]:
        part(column, count)
        return []

    rest, _ = _loop(b, width, [], lambda column, _: body(column, vectors), step=vectors * LANES)
    _loop(b, width, [], lambda column, _: body(column, 2), start=rest, step=PAIR)


def _add_each(b: Any, sums: list[Value], scale: Value, row: list[Value]) -> list[Value]:
    return [_fma(b, scale, weight, total) for weight, total in zip(row, sums, strict=True)]


@intrinsic
def add_rows(
    context: Any,
    out: Any,
    out_at: Any,
    start: Any,
    start_at: Any,
    extra: Any,
    extra_at: Any,
    table: Any,
    table_at: Any,
    stride: Any,
    scales: Any,
    scales_at: Any,
    count: Any,
    width: Any,
) -> Any:
    """out = start + extra row + sum over `count` consecutive rows of `table`, each times its scale.

    `start` is an array or the address of one, `extra` weights in any form or None. `out` may be `start`.
    """
    signature = types.void(
        out, out_at, start, start_at, extra, extra_at, table, table_at, stride, scales, scales_at, count, width
    )

    def generate(context: Any, b: Any, signature: Any, args: Any) -> Any:
        kinds = signature.args
        target, first, upsampled, rows = (
            None if kinds[k] == types.none else _place(context, b, kinds[k], args[k], args[k + 1]) for k in (0, 2, 4, 6)
        )
        stride, count, width = args[8], args[11], args[12]
        scale = _place(context, b, kinds[9], args[9], args[10])
        assert target
        assert first
        assert rows

        def part(column: Value, vectors: int) -> None:
            sums = [first.at(column).at(k * LANES).vector() for k in range(vectors)]
            if upsampled:
                sums = [b.fadd(x, y) for x, y in zip(sums, upsampled.at(column).weights(vectors), strict=True)]
            block = rows.at(column)

            def body(i: Value, sums: list[Value]) -> list[Value]:
                row = block.at(b.mul(i, stride)).weights(vectors)
                return _add_each(b, sums, _spread(b, scale.at(i).scalar()), row)

            _, sums = _loop(b, count, sums, body)
            for k, total in enumerate(sums):
                target.at(column).at(k * LANES).store(total)

        _by_columns(b, width, WIDE, part)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def add_listed_rows(
    context: Any,
    out: Any,
    start: Any,
    start_at: Any,
    table: Any,
    table_at: Any,
    offsets: Any,
    scales: Any,
    count: Any,
    width: Any,
) -> Any:
    """out = start + sum of the `count` rows of `table` that begin at `offsets`, each times its scale."""
    signature = types.void(out, start, start_at, table, table_at, offsets, scales, count, width)

    def generate(context: Any, b: Any, signature: Any, args: Any) -> Any:
        kinds = signature.args
        zero = _whole(0)
        target = _place(context, b, kinds[0], args[0], zero)
        first = _place(context, b, kinds[1], args[1], args[2])
        rows = _place(context, b, kinds[3], args[3], args[4])
        offset = _place(context, b, kinds[5], args[5], zero)
        scale = _place(context, b, kinds[6], args[6], zero)
        count, width = args[7], args[8]

        def part(column: Value, vectors: int) -> None:
            sums = [first.at(column).at(k * LANES).vector() for k in range(vectors)]
            block = rows.at(column)

            def body(i: Value, sums: list[Value]) -> list[Value]:
                row = block.at(b.sext(offset.at(i).scalar(), _I64)).weights(vectors)
                return _add_each(b, sums, _spread(b, scale.at(i).scalar()), row)

            _, sums = _loop(b, count, sums, body)
            for k, total in enumerate(sums):
                target.at(column).at(k * LANES).store(total)

        _by_columns(b, width, WIDE, part)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def add_rows_of_four(
    context: Any,
    out: Any,
    out_at: Any,
    start: Any,
    start_at: Any,
    table: Any,
    table_at: Any,
    stride: Any,
    scales: Any,
    scales_at: Any,
    count: Any,
    width: Any,
) -> Any:
    """`add_rows` for four sums over the same rows at once, each weight loaded and widened once.

    `out_at`, `start_at` and `scales_at` are tuples of four offsets.
    """
    signature = types.void(out, out_at, start, start_at, table, table_at, stride, scales, scales_at, count, width)

    def generate(context: Any, b: Any, signature: Any, args: Any) -> Any:
        kinds = signature.args

        def four(k: int) -> list[_Place]:
            return [_place(context, b, kinds[k], args[k], at) for at in cgutils.unpack_tuple(b, args[k + 1])]

        targets, firsts, scale = four(0), four(2), four(7)
        rows = _place(context, b, kinds[4], args[4], args[5])
        stride, count, width = args[6], args[9], args[10]

        def part(column: Value, vectors: int) -> None:
            sums = [first.at(column).at(k * LANES).vector() for first in firsts for k in range(vectors)]
            block = rows.at(column)

            def body(i: Value, sums: list[Value]) -> list[Value]:
                place = block.at(b.mul(i, stride))
                row = place.weights(vectors)
                # The next block's part of this row, long before it is used: rows read in pieces are slow from L3.
                for k in range(0, vectors, 2):
                    place.at((vectors + k) * LANES).prefetch()
                each = [_spread(b, one.at(i).scalar()) for one in scale]
                return [
                    total
                    for n, one in enumerate(each)
                    for total in _add_each(b, sums[n * vectors : (n + 1) * vectors], one, row)
                ]

            _, sums = _loop(b, count, sums, body)
            for n, target in enumerate(targets):
                for k in range(vectors):
                    target.at(column).at(k * LANES).store(sums[n * vectors + k])

        _by_columns(b, width, WIDE // 4, part)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def list_positive(context: Any, x: Any, width: Any, stride: Any, offsets: Any, scales: Any) -> Any:
    """ReLU as a list: the values of `x` above 0, and where their rows begin; returns how many.

    `offsets` (int32) and `scales` have LANES places more than `x` is wide.
    """
    signature = types.int64(x, width, stride, offsets, scales)

    def generate(context: Any, b: Any, signature: Any, args: Any) -> Any:
        kinds = signature.args
        zero = _whole(0)
        source, offset, scale = (_place(context, b, kinds[k], args[k], zero) for k in (0, 3, 4))
        stride = b.trunc(args[2], _I32)
        step = b.insert_element(ir.Constant(_INTS, ir.Undefined), stride, ir.Constant(_I32, 0))
        step = b.shuffle_vector(step, ir.Constant(_INTS, ir.Undefined), _all_lanes(0, _I32))
        begin = b.mul(step, ir.Constant(_INTS, list(range(LANES))))
        along = b.mul(step, _all_lanes(LANES, _I32))

        def body(i: Value, carried: list[Value]) -> list[Value]:
            count, places = carried
            values = source.at(i).vector()
            positive = b.fcmp_ordered(">", values, _all_lanes(0.0))
            for to, what, kind in ((scale, values, "f32"), (offset, places, "i32")):
                name = f"llvm.experimental.vector.compress.v{LANES}{kind}"
                to.at(count).store(_call(b, name, what.type, what, positive, ir.Constant(what.type, ir.Undefined)))
            flags = b.bitcast(positive, ir.IntType(LANES))
            found = b.zext(_call(b, f"llvm.ctpop.i{LANES}", ir.IntType(LANES), flags), _I64)
            return [b.add(count, found), b.add(places, along)]

        _, carried = _loop(b, args[1], [zero, begin], body, step=LANES)
        return carried[0]

    return signature, generate


@intrinsic
def exponentials(context: Any, logits: Any, width: Any, inverse_temperature: Any, totals: Any) -> Any:
    """logits = exp((logits - max) x inverse_temperature); totals = running totals of the LANES columns of vectors.

    Seen as (width / LANES, LANES), `totals[k]` is the sum of all columns up to and with the k-th. Relative error of the
    exponentials about 2e-7 (near 0) to 3e-6 (at -30); below 2^-126 they stay there.
    """
    signature = types.void(logits, width, inverse_temperature, totals)

    def generate(context: Any, b: Any, signature: Any, args: Any) -> Any:
        kinds = signature.args
        place, total = (_place(context, b, kinds[k], args[k], _whole(0)) for k in (0, 3))
        width = args[1]

        def higher(i: Value, carried: list[Value]) -> list[Value]:
            return [_call(b, f"llvm.maxnum.v{LANES}f32", _FLOATS, carried[0], place.at(i).vector())]

        _, (lanes,) = _loop(b, width, [_all_lanes(NEVER)], higher, step=LANES)
        highest = _spread(b, _call(b, f"llvm.vector.reduce.fmax.v{LANES}f32", _F32, lanes))
        scale = _spread(b, b.fmul(args[2], ir.Constant(_F32, math.log2(math.e))))

        def body(i: Value, carried: list[Value]) -> list[Value]:
            power = _two_to(b, b.fmul(b.fsub(place.at(i).vector(), highest), scale))
            place.at(i).store(power)
            return [b.fadd(carried[0], power)]

        _, (lanes,) = _loop(b, width, [_all_lanes(0.0)], body, step=LANES)
        shift = 1
        while shift < LANES:
            moved = [LANES] * shift + list(range(LANES - shift))
            lanes = b.fadd(lanes, b.shuffle_vector(lanes, _all_lanes(0.0), ir.Constant(_INTS, moved)))
            shift *= 2
        total.store(lanes)
        return context.get_dummy_value()

    return signature, generate


# 2^(f + 1/2) as a polynomial in f, on [-1/2, 1/2].
POWER = [math.sqrt(2) * math.log(2) ** k / math.factorial(k) for k in range(8)]


def _two_to(b: Any, y: Value) -> Value:
    """2^y for y up to 0; never less than 2^-126."""
    y = _call(b, f"llvm.maxnum.v{LANES}f32", _FLOATS, y, _all_lanes(-126.0))
    whole = _call(b, f"llvm.floor.v{LANES}f32", _FLOATS, y)
    f = b.fsub(b.fsub(y, whole), _all_lanes(0.5))
    p = _all_lanes(POWER[7])
    for k in range(6, -1, -1):
        p = _fma(b, p, f, _all_lanes(POWER[k]))
    exponent = b.shl(b.add(b.fptosi(whole, _INTS), _all_lanes(127, _I32)), _all_lanes(23, _I32))
    return b.fmul(p, b.bitcast(exponent, _FLOATS))
