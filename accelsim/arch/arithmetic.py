"""The arithmetic of matrix units as data: architectures by name, and tables that a chip states.

arch_specs/arithmetic.yaml holds the architectures; `core.matrix[].arithmetic` of a chip names one
or states a table of its own. Both become the values of `accelsim.arithmetic`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from pydantic import AfterValidator, Discriminator, Field, Tag, model_validator

from accelsim.arch.fields import Number, Section, Text
from accelsim.arch.provenance import collect
from accelsim.arch.raw import RawSpec, check_sources, shared_stamp
from accelsim.arch.validation import validate
from accelsim.arithmetic import (
    FP32_FRACTION_BITS,
    MAX_ALIGNMENT_BITS,
    MAX_FOLD,
    MAX_TERMS,
    Chain,
    FusedSum,
    IntegerSum,
    MatrixArithmetic,
    PairwiseSum,
    Precision,
    SumFamily,
    TwoStageSum,
)
from accelsim.documents import read_yaml
from accelsim.dtypes import DTYPES
from accelsim.errors import SpecError, WorkloadError, suggest
from accelsim.files import find_data
from accelsim.formats import find_format

FAMILIES: dict[str, type[SumFamily]] = {
    "chain": Chain, "fused_sum": FusedSum, "pairwise_sum": PairwiseSum,
    "two_stage_sum": TwoStageSum, "integer": IntegerSum,
}  # fmt: skip
"""Families of sums by the name that a spec gives them."""

Terms = Annotated[int, Number(maximum=MAX_TERMS)]
AlignmentBits = Annotated[int, Number(maximum=MAX_ALIGNMENT_BITS)]


def _known_dtype(name: str) -> str:
    if name not in DTYPES:
        raise ValueError(f"unknown dtype '{name}': {suggest(name, DTYPES)}")
    return name


def _known_format(name: str) -> str:
    try:
        return find_format(name).name
    except WorkloadError as problem:
        raise ValueError(str(problem)) from None


DTypeName = Annotated[
    str, AfterValidator(_known_dtype), Field(json_schema_extra={"enum": list(DTYPES)})
]


class _Sums(Section):
    operand: Annotated[str, AfterValidator(_known_format)] | None = Field(
        default=None, description="Format of the operands, where not the usual one of the dtype."
    )

    @model_validator(mode="after")
    def _possible(self) -> _Sums:
        try:
            _family(cast("Sums", self))
        except SpecError as problem:
            raise ValueError(str(problem)) from None
        return self


class ChainSums(_Sums):
    """Products added one after the other, k ascending."""

    family: Literal["chain"]
    precision: Precision = Field(default="fp32", description="Format of sums.")
    fused: bool = Field(default=True, description="One rounding per multiply-add.")
    fold: Annotated[int, Number(minimum=0, maximum=MAX_FOLD)] = Field(
        default=0,
        description="Products summed from zero, then added to the accumulator; 0: one chain. Of a "
        "systolic unit it follows from rows and dataflow and is not stated.",
    )
    flush_subnormals: bool = False

    @property
    def output(self) -> str:
        """Format of the accumulator."""
        return self.precision


class FusedSums(_Sums):
    """Blocks of products and the accumulator aligned, cut and added exactly."""

    family: Literal["fused_sum"]
    block: Terms = Field(description="Products per aligned sum.")
    alignment_bits: AlignmentBits = Field(
        description="Fraction bits kept below the largest exponent."
    )
    output_fraction_bits: Annotated[int, Number(maximum=FP32_FRACTION_BITS)] = FP32_FRACTION_BITS
    group: Terms = Field(default=1, description="Products added exactly before they are aligned.")
    output: Literal["fp32", "fp16"] = "fp32"


class PairwiseSums(_Sums):
    """Groups of rounded products added as a tree."""

    family: Literal["pairwise_sum"]
    group: Annotated[int, Number(minimum=2, maximum=4)] = Field(description="2 or 4 products.")
    flush_subnormals: bool = False
    output: Literal["fp32"] = "fp32"


class TwoStageSums(_Sums):
    """Products aligned and added without the accumulator, which joins in a second stage."""

    family: Literal["two_stage_sum"]
    group: Terms = Field(description="Products per sum.")
    product_bits: AlignmentBits = 24
    sum_bits: AlignmentBits = 31
    accumulator_bits: AlignmentBits = 24
    interleaved: bool = Field(default=False, description="Even and odd k are summed apart.")
    output: Literal["fp32"] = "fp32"


class IntegerSums(_Sums):
    """Exact integer products added in int32."""

    family: Literal["integer"]
    saturate: bool = False
    output: Literal["int32"] = "int32"


Sums = Annotated[
    ChainSums | FusedSums | PairwiseSums | TwoStageSums | IntegerSums,
    Field(discriminator="family"),
]


class ArithmeticTable(Section):
    """How a unit sums products, by input dtype."""

    sums: dict[DTypeName, Sums] = Field(min_length=1, description="Sums by input dtype.")
    instructions: dict[str, Sums] = Field(
        default_factory=dict,
        description="Exceptions by a pattern of the instruction's qualifier, as '*bf16_1k'.",
    )

    @model_validator(mode="after")
    def _integers_apart(self) -> ArithmeticTable:
        for name, stated in self.sums.items():
            kind = DTYPES[name].kind
            if (kind == "int") != (stated.family == "integer"):
                raise ValueError(
                    f"{name} cannot be summed by the family '{stated.family}': 'integer' sums "
                    "integers, the others floating-point numbers"
                )
        return self

    def matrix_arithmetic(self, dtype: str, qualifier: str = "") -> MatrixArithmetic:
        """Return the arithmetic of an input dtype, or of one instruction of it.

        Parameters
        ----------
        dtype : str
            A key of `sums`.
        qualifier : str
            The instruction, for example "f32_16x16x16bf16_1k"; the first pattern that fits wins.

        Raises
        ------
        SpecError
            If the table has no sums for this dtype.
        """
        if dtype not in self.sums:
            raise SpecError(f"no sums for {dtype}: {suggest(dtype, self.sums)}")
        fitting = (s for p, s in self.instructions.items() if fnmatchcase(qualifier, p))
        stated = next(fitting, self.sums[dtype])
        operand = stated.operand or operand_format(dtype)
        return MatrixArithmetic(operand, _family(stated), stated.output)


class Architecture(ArithmeticTable):
    """Units of one design, with a name that chips give."""

    title: str
    aliases: tuple[str, ...] = Field(default=(), description="Other names of the same design.")


class _ArchitectureFile(Section):
    sources: dict[str, str]
    architectures: dict[str, Architecture]


ArithmeticChoice = Annotated[
    Annotated[Text, Tag("by_name")] | Annotated[ArithmeticTable, Tag("by_table")],
    Discriminator(lambda raw: "by_table" if _is_table(raw) else "by_name"),
]
"""An architecture of arch_specs/arithmetic.yaml by name, or a table of sums."""


def _is_table(raw: Any) -> bool:
    return isinstance(raw, ArithmeticTable) or (isinstance(raw, dict) and "value" not in raw)


@dataclass(frozen=True)
class CoreArithmetic:
    """How the units of one core multiply and add.

    Attributes
    ----------
    matrix : tuple of mapping
        Arithmetic by input dtype of each unit of ``core.matrix``.
    lanes : mapping
        Of the vector lanes, where they run matmuls.
    """

    matrix: tuple[Mapping[str, MatrixArithmetic], ...]
    lanes: Mapping[str, MatrixArithmetic]


def operand_format(dtype: str) -> str:
    """Return the format of `accelsim.formats` that operands of a dtype usually have."""
    # Weights of 8 bits are exact among activations of 16.
    return "int16" if dtype == "w8a16" else find_format(dtype).name


def family_name(sums: SumFamily) -> str:
    """Return the name that specs give to the family of `sums`."""
    return next(name for name, family in FAMILIES.items() if family is type(sums))


def architectures() -> dict[str, Architecture]:
    """Return the architectures of arch_specs/arithmetic.yaml by name.

    Raises
    ------
    SpecError
        If the file is missing or malformed.
    """
    return _read_architectures(shared_stamp())


def find_architecture(name: str) -> Architecture:
    """Return an architecture by name or alias; case, spaces and underscores do not count.

    Raises
    ------
    SpecError
        If the name is unknown; the nearest are named.
    """
    known = architectures()
    for key, architecture in known.items():
        if _folded(name) in map(_folded, (key, *architecture.aliases)):
            return architecture
    raise SpecError(f"unknown architecture '{name}': {suggest(name, known)}")


def _folded(name: str) -> str:
    return name.lower().replace("_", "").replace(" ", "")


@lru_cache(maxsize=8)
def _read_architectures(_: tuple[tuple[Path, int], ...]) -> dict[str, Architecture]:
    path = find_data("arch_specs", ".yaml").get("arithmetic")
    if path is None:
        raise SpecError("arch_specs/arithmetic.yaml is missing from the installation")
    document = read_yaml(path, SpecError)
    table = validate(_ArchitectureFile, document)
    check_sources(RawSpec(document, collect(document.tree), ()))
    return table.architectures


def unit_arithmetic(
    choice: str | ArithmeticTable | None,
    dtypes: Iterable[str],
    where: str,
    *,
    fold: int | None = None,
) -> dict[str, MatrixArithmetic]:
    """Return the arithmetic of one unit by input dtype.

    Parameters
    ----------
    choice : str, ArithmeticTable or None
        Name of an architecture, a table, or None: fp32 chains (fp64 ones of fp64) with one
        rounding per multiply-add. Integers are summed in int32 unless a table says how.
    dtypes : iterable of str
        Input dtypes of the unit.
    where : str
        File, line and path of the choice, for messages.
    fold : int or None
        Products that an array's columns sum from zero; None for units without columns.

    Returns
    -------
    dict of str to MatrixArithmetic
        Without the floating-point dtypes that a stated table leaves out.

    Raises
    ------
    SpecError
        If the architecture is unknown, or a table states the fold of a systolic unit.
    """
    table: ArithmeticTable | None = None
    if isinstance(choice, str):
        known = architectures()
        if choice not in known:
            raise SpecError(f"{where}: unknown arithmetic '{choice}', {suggest(choice, known)}")
        table = known[choice]
    elif choice is not None:
        table = choice
    found: dict[str, MatrixArithmetic] = {}
    for name in dtypes:
        if table is not None and name in table.sums:
            stated = table.sums[name]
            if fold is not None and "fold" in stated.model_fields_set:
                raise SpecError(
                    f"{where}: the fold of a systolic unit follows from its rows and dataflow: "
                    f"leave 'fold' out of {name}"
                )
            found[name] = _folding(table.matrix_arithmetic(name), fold)
        elif table is None or DTYPES[name].kind == "int":
            found[name] = _folding(_default(name), fold)
    return found


def _family(stated: Sums) -> SumFamily:
    family = FAMILIES[stated.family]
    return family(**{field.name: getattr(stated, field.name) for field in fields(family)})


def _default(dtype: str) -> MatrixArithmetic:
    if DTYPES[dtype].kind == "int":
        return MatrixArithmetic(operand_format(dtype), IntegerSum())
    precision: Precision = "fp64" if dtype == "fp64" else "fp32"
    return MatrixArithmetic(operand_format(dtype), Chain(precision))


def _folding(arithmetic: MatrixArithmetic, fold: int | None) -> MatrixArithmetic:
    if fold is None or not isinstance(arithmetic.sums, Chain):
        return arithmetic
    return replace(arithmetic, sums=replace(arithmetic.sums, fold=fold))
