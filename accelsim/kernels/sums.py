"""Sums of matrix units, one output at a time: the exact definition of every family.

Operands come as float64 values (every format up to fp32 fits, block scales multiplied in) beside
the exponent each is aligned by: floor(log2 |x|), not below the format's smallest normal one, and
`ZERO_EXPONENT` for zeros. Products of two such values are exact in float64, and so are integers
up to 2**53: terms are scaled by a power of two and cut to integers, whose sums are exact.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from accelsim.kernels.jit import kernel, parallel_kernel, prange
from accelsim.kernels.scalar_fma import fma32, fma64, odd_sum

CHAIN, FUSED, PAIRWISE, TWO_STAGE = 0, 1, 2, 3
OUT_FP32, OUT_FP16, OUT_FP64 = 0, 1, 2
ZERO_EXPONENT = -126
_TINY32 = 2.0**-126
_DROPPED_BINADES = 25


class SumRule(NamedTuple):
    """One family with its parameters, as plain numbers (see `accelsim.arithmetic`).

    `block` products make one sum (chains: products between visits of the accumulator, 0 for
    all), `group` of them are one term. `bits` is the fraction kept in alignment, `out_bits` that
    of the result. `separate` rounds products (chains) or sums even and odd k apart (two-stage).
    """

    family: int
    output: int
    block: int
    group: int
    bits: int
    sum_bits: int
    accumulator_bits: int
    out_bits: int
    separate: int
    flush: int


@kernel
def exponent_of(x: float, smallest: int) -> int:
    """Binary exponent that a value is aligned by; not finite ones count as zero."""
    if x == 0.0 or not math.isfinite(x):
        return ZERO_EXPONENT
    return max(math.frexp(x)[1] - 1, smallest)


@kernel
def exponents(values: NDArray[np.float64], smallest: int, out: NDArray[np.int16]) -> None:
    """Fill `out` with the alignment exponents of flat `values`."""
    for i in range(values.size):
        out[i] = exponent_of(values[i], smallest)


@kernel
def cut_fp32(x: float, fraction_bits: int) -> float:
    """Round toward zero into fp32 (subnormals kept, 2**128 and beyond infinite), then to bits."""
    if abs(x) >= 2.0**128:
        return math.copysign(math.inf, x)
    exponent = max(math.frexp(x)[1] - 1, -126) if x != 0.0 else 0
    unit = fraction_bits - exponent
    return math.ldexp(float(np.trunc(math.ldexp(x, int(unit)))), -int(unit)) + 0.0


@kernel
def round_fp16(x: float) -> float:
    """Round to nearest even into fp16; overflow is infinite."""
    if x == 0.0:
        return 0.0
    unit = 10 - max(math.frexp(x)[1] - 1, -14)
    rounded = math.ldexp(float(np.rint(math.ldexp(x, unit))), -unit)
    return rounded + 0.0 if abs(rounded) < 65536.0 else math.copysign(math.inf, x)


@kernel
def _flushed(x: float) -> float:
    """Make a subnormal fp32 value a zero of its sign."""
    return math.copysign(0.0, x) if abs(x) < _TINY32 else x


@kernel
def _add32(x: float, y: float) -> float:
    return float(np.float32(np.float32(x) + np.float32(y)))


@kernel
def fused_block(
    rule: SumRule,
    a: NDArray[np.float64],
    ea: NDArray[np.int16],
    b: NDArray[np.float64],
    eb: NDArray[np.int16],
    c: float,
) -> float:
    """One aligned sum of products and accumulator (`FusedSum`)."""
    smallest = -14 if rule.output == OUT_FP16 else -126
    largest = exponent_of(c, smallest)
    special = 0.0 if math.isfinite(c) else c
    for k in range(a.size):
        largest = max(largest, int(ea[k]) + int(eb[k]))
        product = a[k] * b[k]
        if not math.isfinite(product):
            special += product
    if special != 0.0:
        return special
    unit = rule.bits - largest
    total = math.trunc(math.ldexp(c, int(unit)))
    for start in range(0, a.size, rule.group):
        term = 0.0
        for k in range(start, min(start + rule.group, a.size)):
            term += a[k] * b[k]
        total += math.trunc(math.ldexp(term, int(unit)))
    result = math.ldexp(float(total), -int(unit))
    if rule.output == OUT_FP16:
        return round_fp16(result)
    return cut_fp32(result, rule.out_bits)


@kernel
def _aligned_products(
    terms: NDArray[np.float64], e: NDArray[np.int64], first: int, step: int, bits: int
) -> tuple[float, int]:
    """Sum every `step`-th product from `first`, cut below their largest exponent; return both."""
    largest = -(2**20)
    for k in range(first, terms.size, step):
        largest = max(largest, e[k])
    total = 0
    for k in range(first, terms.size, step):
        total += math.trunc(math.ldexp(terms[k], int(bits - largest)))
    return math.ldexp(float(total), int(largest - bits)), largest


@kernel
def _floored(x: float, unit: int) -> int:
    """Count the multiples of ``2**-unit`` in x, toward minus infinity."""
    return math.floor(math.ldexp(x, int(unit)))


@kernel
def two_stage_block(
    rule: SumRule,
    a: NDArray[np.float64],
    ea: NDArray[np.int16],
    b: NDArray[np.float64],
    eb: NDArray[np.int16],
    c: float,
) -> float:
    """Products summed apart, then joined with the accumulator (`TwoStageSum`)."""
    terms = np.empty(a.size)
    e = np.empty(a.size, dtype=np.int64)
    special = 0.0 if math.isfinite(c) else c
    beyond = 0.0
    for k in range(a.size):
        terms[k], e[k] = a[k] * b[k], int(ea[k]) + int(eb[k])
        if not math.isfinite(terms[k]):
            special += terms[k]
        elif abs(terms[k]) >= 2.0**128:
            beyond += math.copysign(math.inf, terms[k])
    if special != 0.0:
        return special
    if beyond != 0.0:
        return beyond
    largest_c = exponent_of(c, -126)
    if rule.separate:
        even, largest_even = _aligned_products(terms, e, 0, 2, rule.bits)
        odd, largest_odd = _aligned_products(terms, e, 1, 2, rule.bits)
        largest = max(largest_even, largest_odd)
        unit = rule.bits - largest
        summed = math.ldexp(float(_floored(even, unit) + _floored(odd, unit)), -int(unit))
    else:
        summed, largest = _aligned_products(terms, e, 0, 1, rule.bits)
    top = max(largest, largest_c)
    if rule.separate and largest_c < top - _DROPPED_BINADES:
        c = 0.0
    # Both are counted in multiples of the finer unit.
    fine = max(rule.sum_bits, rule.accumulator_bits)
    total = _floored(summed, rule.sum_bits - top) << (fine - rule.sum_bits)
    total += _floored(c, rule.accumulator_bits - top) << (fine - rule.accumulator_bits)
    return float(np.float32(math.ldexp(float(total), int(top - fine))))


@kernel
def pairwise_block(
    rule: SumRule, a: NDArray[np.float64], b: NDArray[np.float64], c: float
) -> float:
    """Balanced tree of fp32 products of up to four operand pairs, then the accumulator."""
    leaves = np.zeros(4)
    for k in range(a.size):
        x, y = a[k], b[k]
        leaves[k] = float(np.float32(np.float32(x) * np.float32(y)))
        if rule.flush:
            leaves[k] = _flushed(leaves[k])
    pairs = np.zeros(2)
    for pair in range(2):
        pairs[pair] = _add32(leaves[2 * pair], leaves[2 * pair + 1])
        if rule.flush:
            pairs[pair] = _flushed(pairs[pair])
    tree = pairs[0] if a.size <= 2 else _add32(pairs[0], pairs[1])
    if rule.flush:
        tree = _flushed(tree)
    total = _add32(c, tree)
    return _flushed(total) if rule.flush else total


@kernel
def chain_step(rule: SumRule, x: float, y: float, total: float) -> float:
    """Add one product to a chain (`Chain`)."""
    if rule.output == OUT_FP64:
        return fma64(x, y, total)
    if rule.output == OUT_FP16:
        exact = odd_sum(x * y, total)
        return math.copysign(round_fp16(exact), exact) if math.isfinite(exact) else exact
    if rule.separate:
        total = _add32(float(np.float32(np.float32(x) * np.float32(y))), total)
    else:
        total = fma32(x, y, total)
    return _flushed(total) if rule.flush else total


@kernel
def chain(rule: SumRule, a: NDArray[np.float64], b: NDArray[np.float64], c: float) -> float:
    """Add products one after the other; folds of `rule.block` start from zero."""
    total = c
    if rule.block == 0:
        for k in range(a.size):
            total = chain_step(rule, a[k], b[k], total)
        return total
    for start in range(0, a.size, rule.block):
        fold = 0.0
        for k in range(start, min(start + rule.block, a.size)):
            fold = chain_step(rule, a[k], b[k], fold)
        total = chain_step(rule, fold, 1.0, total)
    return total


@kernel
def dot(
    rule: SumRule,
    a: NDArray[np.float64],
    ea: NDArray[np.int16],
    b: NDArray[np.float64],
    eb: NDArray[np.int16],
    c: float,
) -> float:
    """Sum ``c + a . b`` in the order and arithmetic of a rule."""
    if rule.family == CHAIN:
        return chain(rule, a, b, c)
    if rule.family == PAIRWISE and rule.flush and abs(c) < _TINY32:
        c = 0.0
    for start in range(0, a.size, rule.block):
        end = min(start + rule.block, a.size)
        if rule.family == PAIRWISE:
            c = pairwise_block(rule, a[start:end], b[start:end], c)
        elif rule.family == FUSED:
            c = fused_block(rule, a[start:end], ea[start:end], b[start:end], eb[start:end], c)
        else:
            c = two_stage_block(rule, a[start:end], ea[start:end], b[start:end], eb[start:end], c)
    return c


@parallel_kernel
def exact_matmuls(
    rule: SumRule,
    a: NDArray[np.float64],
    ea: NDArray[np.int16],
    b: NDArray[np.float64],
    eb: NDArray[np.int16],
    out_c: NDArray[np.float64],
) -> None:
    """Replace ``c`` by ``c + a b^T`` for [t, m, k] and [t, n, k] operands, output by output."""
    tiles, rows, _ = a.shape
    cols = b.shape[1]
    for job in prange(tiles * rows):
        t, i = job // rows, job % rows
        for j in range(cols):
            out_c[t, i, j] = dot(rule, a[t, i], ea[t, i], b[t, j], eb[t, j], out_c[t, i, j])
