"""Which arrays of a model bit flips can strike, and whether a plan's flips exist in them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from accelsim.arithmetic import Arithmetic, IntegerSum, MatrixArithmetic
from accelsim.errors import WorkloadError, suggest
from accelsim.formats import FORMATS, BlockFormat, Format, find_format
from accelsim.functional.bit_flips import bit_numbers
from accelsim.functional.fault_plan import FaultPlan, Place, Target
from accelsim.functional.linear import weight_format
from accelsim.functional.quant.schemes import Scheme
from accelsim.functional.transformer.layers import UNQUANTISED, shares_table
from accelsim.functional.transformer.names import Shape, tensor_shapes
from accelsim.functional.transformer.spec import Spec

_TABLES = ("token_embd", "position_embd", "token_types")
_FP32 = FORMATS["fp32"]


class StruckArray(NamedTuple):
    """An array that an executor shows to a `accelsim.functional.faults.FaultInjector`.

    Attributes
    ----------
    codes : int
        How many; of the cache and of accumulators the most that one step may have.
    format : Format
    """

    codes: int
    format: Format


StruckArrays = Mapping[Target, Mapping[str, StruckArray]]


def struck_arrays(
    spec: Spec, arithmetic: Arithmetic, scheme: Scheme | None = None, *, tokens: int | None = None
) -> StruckArrays:
    """Return every array that flips can strike when a model runs, by target and name.

    Parameters
    ----------
    spec : Spec
    arithmetic : Arithmetic
    scheme : Scheme, optional
    tokens : int, optional
        Most tokens that run in one step; default: the context.
    """
    most = spec.config.position.max_positions if tokens is None else tokens
    return {
        "weights": dict(_weights(spec, arithmetic, scheme)),
        "kv": dict(_cached(spec, arithmetic, most)),
        "accumulators": dict(_sums(spec, arithmetic, most)),
    }


def check_plan(plan: FaultPlan, arrays: StruckArrays) -> None:
    """Refuse a plan of faults before anything runs.

    Parameters
    ----------
    plan : FaultPlan
    arrays : mapping
        Of `struck_arrays`.

    Raises
    ------
    WorkloadError
        If a place is in no array, or is a weight with a step; if the bits that a rate strikes are
        in no code of a target's array; if an array is fp64, which values do not travel as.
    """
    for place in plan.places:
        _check_place(place, arrays[place.target])
    for target in plan.targets:
        for known in dict.fromkeys(array.format for array in arrays[target].values()):
            if known.name == "fp64":
                raise WorkloadError(f"{target} are fp64 here, whose bits cannot be struck")
            if plan.rate_per_bit:
                bit_numbers(plan.bits, known)


def _check_place(place: Place, arrays: Mapping[str, StruckArray]) -> None:
    if place.name not in arrays:
        raise WorkloadError(
            f"{place}: no array of {place.target} is called '{place.name}': "
            f"{suggest(place.name, arrays)}"
        )
    count, known = arrays[place.name]
    if place.index >= count or place.bit >= known.stored_bits:
        raise WorkloadError(
            f"{place} does not exist: '{place.name}' has at most {count} values of "
            f"{known.stored_bits} bits ({known.name})"
        )
    if place.target == "weights" and place.step is not None:
        raise WorkloadError(
            f"{place}: weights are struck once, when they are prepared: leave the step out"
        )


def _matmuls(spec: Spec, arithmetic: Arithmetic) -> Iterator[tuple[str, Shape, MatrixArithmetic]]:
    """Yield name, [n, k] and unit of every matmul with weights, experts one by one."""
    config = spec.config
    shapes = tensor_shapes(config)
    if config.head.lm_head and config.head.tied:
        shapes["output.weight"] = shapes["token_embd.weight"]
    for tensor, shape in shapes.items():
        stem, kind = tensor.rsplit(".", 1)
        if kind == "weight" and len(shape) > 1 and stem not in _TABLES:
            is_head = stem.rsplit(".", 1)[-1] in UNQUANTISED
            unit = arithmetic.attention if is_head else arithmetic.linear
            for name, part in _members(stem, shape):
                yield name, part, unit


def _members(stem: str, shape: Shape) -> Iterator[tuple[str, Shape]]:
    """Yield an op with its own weights; of experts each."""
    if not stem.endswith("_exps"):
        yield stem, shape
        return
    for expert in range(shape[0]):
        yield f"{stem}.{expert}", shape[1:]


def _weights(
    spec: Spec, arithmetic: Arithmetic, scheme: Scheme | None
) -> Iterator[tuple[str, StruckArray]]:
    stored = _scalar(arithmetic.stored)
    for tensor, shape in tensor_shapes(spec.config).items():
        stem, kind = tensor.rsplit(".", 1)
        if stem in _TABLES:
            yield stem, StruckArray(math.prod(shape), stored)
        elif kind == "bias":
            for name, part in _members(stem, shape):
                yield f"{name}.bias", StruckArray(part[0], _FP32)
        elif len(shape) == 1:
            yield stem, StruckArray(shape[0], _FP32)
    for name, part, unit in _matmuls(spec, arithmetic):
        op = name.rsplit(".", 1)[-1]
        if name == "output" and spec.config.head.tied and shares_table(unit):
            continue
        held = weight_format(unit, None if op in UNQUANTISED else scheme)
        yield from _held(name, part, held)


def _cached(spec: Spec, arithmetic: Arithmetic, tokens: int) -> Iterator[tuple[str, StruckArray]]:
    heads = spec.config.attention
    widths = {"k": heads.head_dim, "v": heads.v_head_dim}
    count = heads.n_kv_heads
    if heads.latent is not None:
        widths, count = {"k": heads.latent.cache_width}, 1
    if not heads.causal:
        return
    for layer in range(spec.config.n_layers):
        for part, width in widths.items():
            shape = (count * tokens, width)
            yield from _held(f"blk.{layer}.{part}", shape, find_format(arithmetic.kv))


def _sums(spec: Spec, arithmetic: Arithmetic, tokens: int) -> Iterator[tuple[str, StruckArray]]:
    for name, (n, _), unit in _matmuls(spec, arithmetic):
        width = FORMATS["int32"] if isinstance(unit.sums, IntegerSum) else _FP32
        yield name, StruckArray(n * tokens, width)
    heads = spec.config.attention
    for layer in range(spec.config.n_layers):
        count = heads.n_heads * heads.v_head_dim * tokens
        yield f"blk.{layer}.attn", StruckArray(count, _FP32)


def _held(
    name: str, shape: Shape, known: Format | BlockFormat
) -> Iterator[tuple[str, StruckArray]]:
    """Yield the arrays that hold rows: of a block format elements and scales."""
    rows, width = shape
    if not isinstance(known, BlockFormat):
        yield name, StruckArray(rows * width, known)
        return
    yield f"{name}.elements", StruckArray(rows * width, known.element)
    yield f"{name}.scales", StruckArray(rows * -(-width // known.block), known.scale)


def _scalar(name: str) -> Format:
    known = find_format(name)
    assert isinstance(known, Format), f"activations are stored in {name}"
    return known
