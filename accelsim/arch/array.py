"""A systolic array on its own: its shape, its features and the buffers that feed it.

A chip's `SystolicUnit` and a SCALE-Sim configuration both become a `SystolicArray`; the timing
models of arrays know nothing else of the hardware.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields
from fractions import Fraction
from numbers import Integral
from typing import Any, Literal, cast, get_args

from accelsim.errors import SpecError, suggest

ArrayDataflow = Literal["ws", "os", "is"]
PackedAxis = Literal["stream", "rows", "cols"]
InnerFolds = Literal["rows", "cols"]
DATAFLOWS: tuple[str, ...] = get_args(ArrayDataflow)
AXES = {"ws": ("k", "n", "m"), "os": ("m", "n", "k"), "is": ("k", "m", "n")}
"""Axes of a matmul ``C[m, n] = A[m, k] B[k, n]`` along rows, along columns, and in time."""
INNER: dict[str, InnerFolds] = {"ws": "rows", "os": "cols", "is": "rows"}
"""Folds that follow each other unless buffers say otherwise: k, or n where outputs stay."""
DATAFLOW_TITLES = {"ws": "weight stationary", "os": "output stationary", "is": "input stationary"}
_SLOWEST, _PLAIN_TERM = Fraction(1, 10**6), 10**6
MAX_SIDE = 2**16
"""Most rows or columns of an array: larger ones are a typing error, not a chip."""


def require_count(name: str, value: object, limit: int) -> None:
    """Refuse what is not an integer between 1 and `limit`.

    Raises
    ------
    SpecError
        Naming the field and the value.
    """
    if type(value) is not int and (isinstance(value, bool) or not isinstance(value, Integral)):
        raise SpecError(f"{name} is {value!r}, expected a positive integer")
    if not 1 <= int(value) <= limit:
        raise SpecError(f"{name} is {value}, expected an integer from 1 to {limit}")


def _rate(name: str, value: Any) -> Fraction:
    """Return a bandwidth as a fraction of small terms, so that cycles stay integers."""
    try:
        rate = Fraction(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise SpecError(f"{name} is {value!r}, expected words per cycle") from error
    if not _SLOWEST <= rate <= 2**31:
        raise SpecError(f"{name} is {value}, expected from 1e-6 to {2**31} words per cycle")
    if max(rate.numerator, rate.denominator) <= _PLAIN_TERM:
        return rate
    return rate.limit_denominator(1000) if rate > 1 else 1 / (1 / rate).limit_denominator(1000)


def known_dataflow(name: object) -> ArrayDataflow:
    """Return `name` as a dataflow, ``weight_stationary`` and the like included.

    Raises
    ------
    SpecError
        If there is no such dataflow.
    """
    short = {title.replace(" ", "_"): key for key, title in DATAFLOW_TITLES.items()}
    word = str(name).lower()
    key = short.get(word, word)
    if key not in DATAFLOWS:
        raise SpecError(
            f"unknown dataflow '{name}': {suggest(str(name), (*DATAFLOWS, *short))} "
            "(ws keeps weights, os outputs, is inputs in the array)"
        )
    return cast(ArrayDataflow, key)


@dataclass(frozen=True)
class Sparsity:
    """Structured N:M sparsity of the weights: of `m` neighbours along k, at most `n` are not 0.

    The array stores and multiplies the kept ones only, and picks the matching activations.
    """

    n: int
    m: int

    def __post_init__(self) -> None:
        require_count("N of sparsity N:M", self.n, MAX_SIDE)
        require_count("M of sparsity N:M", self.m, MAX_SIDE)
        if not 1 <= self.n <= self.m:
            raise SpecError(
                f"sparsity {self.n}:{self.m} keeps {self.n} of {self.m} weights: expected "
                "1 <= N <= M, for example 2:4"
            )

    @classmethod
    def parse(cls, text: str) -> Sparsity:
        """Read ``"2:4"``.

        Raises
        ------
        SpecError
            If the text is not two positive integers, or N > M.
        """
        found = re.fullmatch(r"\s*(\d{1,6})\s*:\s*(\d{1,6})\s*", text)
        if found is None:
            raise SpecError(f"sparsity '{text}' is not of the form N:M, for example 2:4")
        return cls(int(found[1]), int(found[2]))

    @property
    def index_bits(self) -> int:
        """Metadata of one kept weight: its place among its `m` neighbours [bit]."""
        return (self.m - 1).bit_length()

    def kept(self, k: int) -> int:
        """Weights kept of a column of `k`; a last, partial group keeps up to `n` too."""
        return k // self.m * self.n + min(self.n, k % self.m)

    def __str__(self) -> str:
        return f"{self.n}:{self.m}"


@dataclass(frozen=True)
class ArrayFeatures:
    """What real arrays add to the textbook one.

    Attributes
    ----------
    arrays : int
        Equal arrays that share the folds of one problem.
    double_buffer : bool
        A fold's stationary operand loads (output stationary: its results leave) through a second
        register of each PE while the fold before it still streams.
    mac_latency_cycles : int
        Cycles from the operands of a multiply-add to its sum; fully pipelined.
    packing : int
        Multiply-adds of a PE per cycle, for example 2 for int8 in a PE made for int16.
    packed : str
        Along which axis they lie: ``stream`` (several streamed vectors enter per cycle), ``rows``
        or ``cols`` (a PE does the work of several rows, columns).
    sparsity : Sparsity or None
        Structured weight sparsity that the PEs exploit.
    """

    arrays: int = 1
    double_buffer: bool = False
    mac_latency_cycles: int = 1
    packing: int = 1
    packed: PackedAxis = "stream"
    sparsity: Sparsity | None = None

    def __post_init__(self) -> None:
        for name in ("arrays", "mac_latency_cycles", "packing"):
            require_count(name, getattr(self, name), MAX_SIDE)
        if self.packed not in get_args(PackedAxis):
            raise SpecError(
                f"packed along '{self.packed}': {suggest(self.packed, get_args(PackedAxis))}"
            )


TEXTBOOK = ArrayFeatures()
"""One array, one multiply-add per PE and cycle, nothing hidden: SCALE-Sim's assumptions."""


@dataclass(frozen=True)
class ArrayBuffers:
    """The SRAMs around each array and the ports behind them. 1 word is one element.

    Attributes
    ----------
    a_words, b_words, c_words : int
        Capacity for activations A, weights B, and results and partial sums C [word].
    a_words_per_cycle, b_words_per_cycle, c_words_per_cycle : Fraction or None
        Bandwidth of the port behind each; None is unlimited [word/cycle].
    word_bits : int
        Width of an element, against which sparsity's indices are weighed [bit].
    inner : str or None
        Which folds run innermost: along the array's ``rows`` or its ``cols``. None takes rows for
        ws and is (a partial sum is finished before the next begins) and cols for os.
    """

    a_words: int
    b_words: int
    c_words: int
    a_words_per_cycle: Fraction | None = None
    b_words_per_cycle: Fraction | None = None
    c_words_per_cycle: Fraction | None = None
    word_bits: int = 8
    inner: InnerFolds | None = None

    def __post_init__(self) -> None:
        for name in ("a_words", "b_words", "c_words"):
            require_count(name, getattr(self, name), 2**40)
        require_count("word_bits", self.word_bits, 64)
        for name in ("a_words_per_cycle", "b_words_per_cycle", "c_words_per_cycle"):
            rate = getattr(self, name)
            if rate is None:
                continue
            object.__setattr__(self, name, _rate(name, rate))
        if self.inner not in (None, *get_args(InnerFolds)):
            raise SpecError(f"inner folds '{self.inner}': expected rows or cols")


@dataclass(frozen=True)
class SystolicArray:
    """Rows x cols processing elements (PEs) through which operands move.

    Attributes
    ----------
    dataflow : str
        ``ws``, ``os`` or ``is``: the operand that stays in the PEs.
    rows, cols : int
        PEs.
    features : ArrayFeatures
        Beyond the textbook array.
    buffers : ArrayBuffers or None
        None feeds the array without limit.
    name : str
        For tables.
    """

    dataflow: ArrayDataflow
    rows: int
    cols: int
    features: ArrayFeatures = TEXTBOOK
    buffers: ArrayBuffers | None = field(default=None)
    name: str = "array"

    def __post_init__(self) -> None:
        object.__setattr__(self, "dataflow", known_dataflow(self.dataflow))
        require_count("rows", self.rows, MAX_SIDE)
        require_count("cols", self.cols, MAX_SIDE)
        if self.features.sparsity is not None and self.dataflow == "is":
            raise SpecError(
                "an input stationary array cannot skip pruned weights: they stream past inputs "
                "that stay; use ws or os with sparsity"
            )

    @property
    def pes(self) -> int:
        """Processing elements of one array."""
        return self.rows * self.cols

    @property
    def fold_rows(self) -> int:
        """What one fold covers along the rows, packing included."""
        return self.rows * (self.features.packing if self.features.packed == "rows" else 1)

    @property
    def fold_cols(self) -> int:
        """What one fold covers along the columns, packing included."""
        return self.cols * (self.features.packing if self.features.packed == "cols" else 1)

    @property
    def rows_inner(self) -> bool:
        """Whether folds along the rows follow each other."""
        inner = self.buffers.inner if self.buffers else None
        return (inner or INNER[self.dataflow]) == "rows"

    def axes(self, m: int, n: int, k: int) -> tuple[int, int, int]:
        """Sizes of a matmul along rows, along columns and in time; of sparse weights the kept."""
        depth = self.features.sparsity.kept(k) if self.features.sparsity else k
        sizes = {"m": m, "n": n, "k": depth}
        on_rows, on_cols, streamed = (sizes[axis] for axis in AXES[self.dataflow])
        return on_rows, on_cols, streamed

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON, complete: features, and buffers if there are any."""
        extra, buffers = self.features, self.buffers
        data: dict[str, Any] = {
            "name": self.name,
            "dataflow": self.dataflow,
            "rows": self.rows,
            "cols": self.cols,
            **{f.name: getattr(extra, f.name) for f in fields(extra)},
            "sparsity": str(extra.sparsity) if extra.sparsity else None,
            "buffers": None,
        }
        if buffers is not None:
            values = {f.name: getattr(buffers, f.name) for f in fields(buffers)}
            data["buffers"] = {
                name: float(value) if isinstance(value, Fraction) else value
                for name, value in values.items()
            }
        return data

    def __str__(self) -> str:
        extra, lanes = self.features, {"stream": "along the stream", "rows": "of different rows",
                                       "cols": "of different columns"}  # fmt: skip
        parts = [f"{self.rows}x{self.cols} {DATAFLOW_TITLES[self.dataflow]}"]
        if extra.arrays > 1:
            parts.append(f"{extra.arrays} arrays")
        if extra.double_buffer:
            parts.append("double-buffered")
        if extra.packing > 1:
            parts.append(f"{extra.packing} multiply-adds per PE {lanes[extra.packed]}")
        if extra.mac_latency_cycles > 1:
            parts.append(f"multiply-add in {extra.mac_latency_cycles} cycles")
        if extra.sparsity is not None:
            parts.append(f"{extra.sparsity} sparse weights")
        return ", ".join(parts)
