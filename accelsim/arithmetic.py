"""How units multiply and add: families of accumulation and the formats around them, as values.

A chip spec names them (arch_specs/arithmetic.yaml), the functional core executes them. Nothing
here computes: `accelsim.functional` does, and `tests/oracle/matrix_sums.py` says each family
once more in plain Python.

References
----------
Xie et al., "MMA-Sim: Bit-accurate reference model of tensor cores and matrix cores", 2025,
arXiv 2511.10909, for the families and parameters of NVIDIA and AMD units.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from accelsim.errors import SpecError

Precision = Literal["fp16", "fp32", "fp64"]
FP32_FRACTION_BITS = 23
MAX_TERMS = 1024
"""Most products of one aligned sum."""
MAX_ALIGNMENT_BITS = 40
"""Fraction bits of a term, its two integer bits and the carries of 1024 terms fit the 53 bits of a
float64, in which kernels add them exactly."""
MAX_FOLD = 65536


def _within(family: str, name: str, value: int, limits: tuple[int, int]) -> None:
    least, most = limits
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise SpecError(
            f"{family}: {name} is {value!r}, expected a whole number from {least} to {most}"
        )


@dataclass(frozen=True)
class Chain:
    """Products are added one after the other, k ascending, each sum rounded to nearest even.

    Attributes
    ----------
    precision : str
        Format of sums: "fp16", "fp32" or "fp64".
    fused : bool
        Multiply and add with one rounding (IEEE fma); else the product is rounded first. The same
        where products are exact, as those of 16-bit operands in fp32.
    fold : int
        Depth of an array whose columns hold the sum: `fold` products start from zero and their
        sum is then added to the accumulator. 0: one chain that starts from the accumulator.
    flush_subnormals : bool
        Subnormal operands count as zero and subnormal sums become zero of their sign.
    """

    precision: Precision = "fp32"
    fused: bool = True
    fold: int = 0
    flush_subnormals: bool = False

    def __post_init__(self) -> None:
        _within("chain", "fold", self.fold, (0, MAX_FOLD))
        if self.precision != "fp32" and (self.flush_subnormals or not self.fused):
            raise SpecError(
                f"chain: sums in {self.precision} are those of fma with subnormals; a rounded "
                "product and flushed subnormals are there for fp32 alone"
            )


@dataclass(frozen=True)
class FusedSum:
    """Blocks of exact products and the accumulator are aligned, cut, and added exactly [1].

    All terms of a block are cut toward zero to multiples of ``2**(emax - alignment_bits)``, where
    emax is the largest exponent among them; their sum is rounded once, and is the accumulator of
    the next block. fp32 results are cut toward zero, fp16 ones rounded to nearest even.

    Attributes
    ----------
    block : int
        Products per aligned sum.
    alignment_bits : int
        Fraction bits kept below the largest exponent.
    output_fraction_bits : int
        Of an fp32 result; 13 where 8-bit operands meet in a short accumulator.
    group : int
        Products that are added exactly before they are scaled and aligned as one term (block
        scales of 4-bit formats); 1 everywhere else.
    """

    block: int
    alignment_bits: int
    output_fraction_bits: int = FP32_FRACTION_BITS
    group: int = 1

    def __post_init__(self) -> None:
        _within("fused sum", "block", self.block, (1, MAX_TERMS))
        _within("fused sum", "alignment_bits", self.alignment_bits, (1, MAX_ALIGNMENT_BITS))
        bits = (1, FP32_FRACTION_BITS)
        _within("fused sum", "output_fraction_bits", self.output_fraction_bits, bits)
        _within("fused sum", "group", self.group, (1, MAX_TERMS))
        if self.block % self.group:
            raise SpecError(
                f"block {self.block} is not a multiple of group {self.group}: a block is made of "
                "whole groups"
            )


@dataclass(frozen=True)
class PairwiseSum:
    """Groups of rounded products are added as a balanced tree, the root to the accumulator.

    Attributes
    ----------
    group : int
        Products per tree: 2 or 4.
    flush_subnormals : bool
        Subnormal operands (accumulator included) count as +0, subnormal products and sums become
        zero of their sign.
    """

    group: int
    flush_subnormals: bool = False

    def __post_init__(self) -> None:
        if self.group not in (2, 4):
            raise SpecError(f"pairwise sum: group {self.group} makes no balanced tree: 2 or 4")


@dataclass(frozen=True)
class TwoStageSum:
    """Products are aligned and added without the accumulator, which joins in a second stage.

    Stage one cuts products toward zero to `product_bits` below the largest of their exponents.
    Stage two floors that sum to `sum_bits` and the accumulator to `accumulator_bits` below the
    larger exponent of the two, adds, and rounds to nearest even into fp32.

    Attributes
    ----------
    group : int
        Products per sum.
    product_bits, sum_bits, accumulator_bits : int
        Fraction bits kept in alignment.
    interleaved : bool
        Even and odd k are summed apart in stage one (8-bit operands), met with `product_bits`,
        floored; and an accumulator more than 25 binades below the largest term is dropped.
    """

    group: int
    product_bits: int = 24
    sum_bits: int = 31
    accumulator_bits: int = 24
    interleaved: bool = False

    def __post_init__(self) -> None:
        _within("two-stage sum", "group", self.group, (1, MAX_TERMS))
        for name in ("product_bits", "sum_bits", "accumulator_bits"):
            _within("two-stage sum", name, getattr(self, name), (1, MAX_ALIGNMENT_BITS))
        if self.interleaved and self.group % 2:
            raise SpecError(f"an interleaved group has as many even as odd k, got {self.group}")


@dataclass(frozen=True)
class IntegerSum:
    """Integer products are exact and added in int32.

    Attributes
    ----------
    saturate : bool
        Clamp the sum of a whole chain to the int32 range; else it wraps around.
    """

    saturate: bool = False


SumFamily = Chain | FusedSum | PairwiseSum | TwoStageSum | IntegerSum


@dataclass(frozen=True)
class MatrixArithmetic:
    """What one matmul does to its operands and sums.

    Attributes
    ----------
    operand : str
        Format of both operands, a name of `accelsim.formats` ("bf16", "fp8_e4m3", "nvfp4", ...);
        "fp32" leaves fp32 values as they are.
    sums : SumFamily
        How products are added.
    output : str
        Format of the accumulator between instructions; left out, that of the family: the
        precision of a chain, "int32" of integers, else "fp32". Fused sums also go to "fp16".

    Raises
    ------
    SpecError
        If the family does not sum into that format.
    """

    operand: str
    sums: SumFamily
    output: str = ""

    def __post_init__(self) -> None:
        usual = "int32" if isinstance(self.sums, IntegerSum) else "fp32"
        if isinstance(self.sums, Chain):
            usual = self.sums.precision
        known = (usual, "fp16") if isinstance(self.sums, FusedSum) else (usual,)
        if self.output and self.output not in known:
            raise SpecError(
                f"sums of {self.operand} by {self.sums} end in {' or '.join(known)}, not in "
                f"{self.output}"
            )
        object.__setattr__(self, "output", self.output or usual)


@dataclass(frozen=True)
class SumOrder:
    """Cuts of k that a mapping makes: they change the order of sums, hence their last bits.

    Attributes
    ----------
    split_k : int
        k is cut into that many parts of ``ceil(k / split_k)``, each summed from zero; their sums
        are added in fp32 in ascending order.
    """

    split_k: int = 1


IN_ORDER = SumOrder()


@dataclass(frozen=True)
class AttentionOrder:
    """Tiles of fused attention that a mapping chose.

    Attributes
    ----------
    tile_q, tile_kv : int
        Queries and keys of one tile; `tile_kv` 0 is attention unfused: whole rows of scores.
    split_kv : int
        The keys that are seen are cut into that many equal parts (the last one may be shorter),
        whose results are merged by their largest scores at the end (split-KV decoding).
    """

    tile_q: int = 0
    tile_kv: int = 0
    split_kv: int = 1


UNFUSED = AttentionOrder()


@dataclass(frozen=True)
class Arithmetic:
    """In which arithmetic a whole model runs.

    Attributes
    ----------
    name : str
        For tables: "fp32", "h100_sxm bf16".
    linear : MatrixArithmetic
        Matmuls with weights.
    attention : MatrixArithmetic
        Matmuls of queries with keys and of probabilities with values.
    vector : str
        Format in which the vector unit computes norms, softmax and activations (each elementary
        operation rounded to it): "fp32" or "bf16", ...
    stored : str
        Format that activations are rounded to whenever an op writes them.
    kv : str
        Format of the cached keys and values.
    """

    name: str
    linear: MatrixArithmetic
    attention: MatrixArithmetic
    vector: str = "fp32"
    stored: str = "fp32"
    kv: str = "fp32"

    def with_kv(self, kv: str) -> Arithmetic:
        """Return the same with another format of cached keys and values."""
        return replace(self, kv=kv)


_FP32_CHAIN = MatrixArithmetic("fp32", Chain("fp32"))
FP32 = Arithmetic("fp32", _FP32_CHAIN, _FP32_CHAIN)
"""Everything in IEEE fp32, k ascending: the reference of quality tables."""
