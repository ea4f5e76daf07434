"""Tables of ops, one per row: strict reading of the CSV contract and rows to typed ops.

`OP_FIELDS` alone says what each op needs and may have: rows are read by it, errors and the schema
quote it, and docs/predict.md is tested against it.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from accelsim.documents import read_text
from accelsim.dtypes import DTYPES
from accelsim.dtypes import dtype as find_dtype
from accelsim.errors import WorkloadError, suggest
from accelsim.workload.conversions import ARRIVING, CONVERSIONS, SCALE_BLOCK, conversion_ops
from accelsim.workload.experts import sort_kernels, sort_shape
from accelsim.workload.ops import (
    COLLECTIVES,
    VECTOR_FUNCTIONS,
    Attention,
    Collective,
    GroupedMatMul,
    MatMul,
    Op,
    Vector,
)

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = (
    "op", "dtype", "kv_dtype", "quantize", "batch", "m", "n", "k", "q_len", "kv_len", "heads",
    "kv_heads", "head_dim", "causal", "served", "replayed", "rows", "cols", "tokens", "hidden",
    "inter", "experts", "experts_local", "topk", "imbalance", "bytes", "devices",
)  # fmt: skip
RESULT_COLUMNS = ("latency_s", "energy_j", "bound", "flop", "dram_bytes")
_ALIASES = {"gemm": "matmul"}
LARGEST = 2**40
"""Most that a cell of a size may hold."""
_FLAGS = ("causal", "served", "replayed")
SIZES = frozenset(COLUMNS) - {
    "op", "dtype", "kv_dtype", "quantize", *_FLAGS, "imbalance",
}  # fmt: skip
"""Columns of whole numbers."""
_QUANTIZE = ("auto", *CONVERSIONS)


@dataclass(frozen=True)
class OpFields:
    """Columns of one kind of op: those it needs, and those it may have with their defaults.

    A default is a value, or another column of the op whose value is taken.
    """

    required: tuple[str, ...]
    optional: Mapping[str, str]

    @cached_property
    def defaults(self) -> dict[str, str]:
        """Columns in the order they are read, and their defaults: "" where there is none."""
        return {**dict.fromkeys(self.required, ""), **self.optional}


_BF16 = {"dtype": "bf16"}
OP_FIELDS: dict[str, OpFields] = {
    "matmul": OpFields(("m", "n", "k"), {**_BF16, "batch": "1", "quantize": "auto"}),
    "attention": OpFields(
        ("heads", "head_dim", "q_len"),
        {**_BF16, "kv_dtype": "dtype", "batch": "1", "kv_len": "q_len", "kv_heads": "heads",
         "causal": "true", "served": "true", "replayed": "false"},
    ),
    "moe": OpFields(
        ("tokens", "hidden", "inter", "experts", "topk"),
        {**_BF16, "experts_local": "experts", "imbalance": "1"},
    ),
    **dict.fromkeys(VECTOR_FUNCTIONS, OpFields(("rows", "cols"), _BF16)),
    **dict.fromkeys(COLLECTIVES, OpFields(("bytes", "devices"), {})),
}  # fmt: skip


def ops_schema() -> dict[str, Any]:
    """Describe the table to scripts: columns, results, and what each op needs and may have."""
    return {
        "columns": {name: _column_schema(name) for name in COLUMNS},
        "result_columns": list(RESULT_COLUMNS),
        "aliases": dict(_ALIASES),
        "ops": {
            name: {"required": list(fields.required), "optional": dict(fields.optional)}
            for name, fields in OP_FIELDS.items()
        },
    }


def _column_schema(name: str) -> dict[str, Any]:
    """Return the JSON Schema of the cells of a column."""
    match name:
        case "op":
            return {"type": "string", "enum": [*OP_FIELDS, *_ALIASES]}
        case "dtype" | "kv_dtype":
            return {"type": "string", "enum": list(DTYPES)}
        case "quantize":
            return {"type": "string", "enum": list(_QUANTIZE)}
        case "imbalance":
            return {"type": "number", "minimum": 1, "maximum": LARGEST}
        case "causal" | "served" | "replayed":
            return {"type": "boolean"}
    unit = {"unit": "B"} if name == "bytes" else {}
    return {"type": "integer", "minimum": 1, "maximum": LARGEST, **unit}


class Row(NamedTuple):
    """One row with its place for messages; fields are read strictly on demand."""

    where: str
    cells: Mapping[str, Any]

    def text(self, name: str) -> str:
        """Return a field as text, "" where it is absent or empty; a NaN of a DataFrame is empty."""
        value = self.cells.get(name)
        if value is None or (isinstance(value, float) and math.isnan(value)):
            return ""
        return str(value).strip()

    def blank(self, name: str) -> bool:
        """Tell whether a field is absent or empty."""
        return type(self.cells.get(name)) is not int and not self.text(name)

    def read(self, fields: OpFields) -> dict[str, Any]:
        """Return the fields of an op by name: whole numbers, dtype names and truth values.

        Raises
        ------
        WorkloadError
            If fields are missing (all are named) or one is not what its column holds.
        """
        values: dict[str, Any] = {}
        for name, default in fields.defaults.items():
            cell = self.cells.get(name)
            if type(cell) is int and 1 <= cell <= LARGEST and name in SIZES:
                values[name] = cell  # most cells of a DataFrame
            elif text := self.text(name):
                values[name] = self._value(name, text)
            elif default in values:
                values[name] = values[default]
            else:
                values[name] = _default(name, default)
        return values

    def _value(self, name: str, text: str) -> float | bool | str:
        if name in {"dtype", "kv_dtype"}:
            return self._dtype(text)
        if name == "imbalance":
            return self._number(name, text)
        if name == "quantize":
            return self._way(text)
        return self._flag(name, text) if name in _FLAGS else self._size(name, text)

    def _number(self, name: str, text: str) -> float:
        try:
            if "_" in text or not text.isascii():
                raise ValueError
            value = float(text)
        except ValueError:
            raise WorkloadError(f"{self.where}: {name} is '{text}', expected a number") from None
        if not math.isfinite(value) or not 1 <= value <= LARGEST:
            raise WorkloadError(f"{self.where}: {name} is {text}, expected a number from 1 to 2^40")
        return value

    def _size(self, name: str, text: str) -> int:
        value = self._number(name, text)
        if value != int(value):
            raise WorkloadError(
                f"{self.where}: {name} is {text}, expected a whole number from 1 to 2^40"
            )
        return int(value)

    def _flag(self, name: str, text: str) -> bool:
        if text.lower() in {"true", "1", "1.0", "yes"}:
            return True
        if text.lower() in {"false", "0", "0.0", "no"}:
            return False
        raise WorkloadError(f"{self.where}: {name} is '{text}', expected true or false")

    def _way(self, text: str) -> str:
        if text.lower() not in _QUANTIZE:
            raise WorkloadError(
                f"{self.where}: quantize is '{text}', {_known(text.lower(), _QUANTIZE)}"
            )
        return text.lower()

    def _dtype(self, text: str) -> str:
        try:
            return find_dtype(text).name
        except WorkloadError as error:
            raise WorkloadError(f"{self.where}: {error}") from None


@lru_cache(maxsize=64)
def _default(name: str, text: str) -> float | bool | str:
    """Value of a default of `OP_FIELDS`, read once."""
    return Row("default", {})._value(name, text)


def read_ops(path: str | Path, more: Sequence[str] = ()) -> pd.DataFrame:
    """Read an ops CSV strictly; all cells stay text until `predict` reads them.

    Parameters
    ----------
    path : str or Path
        UTF-8 CSV with a header of known columns.
    more : sequence of str
        Columns that may stand beside those of ops, for the caller to read.

    Returns
    -------
    DataFrame
        With ``attrs["where"]``: file and line by row label, for messages.

    Raises
    ------
    WorkloadError
        Unknown, missing or repeated column; a row of the wrong length; no rows.
    """
    import pandas as pd

    lines = csv.reader(io.StringIO(read_text(path, WorkloadError)), strict=True)
    rows: list[list[str]] = []
    where: list[str] = []
    try:
        header = [name.strip().lower() for name in next(lines, [])]
        _check_header(header, str(path), (*COLUMNS, *more))
        for cells in lines:
            if not cells:
                continue
            if len(cells) != len(header):
                raise WorkloadError(
                    f"{path}:{lines.line_num}: {len(cells)} fields, the header has {len(header)}"
                )
            rows.append(cells)
            where.append(f"{path}:{lines.line_num}")
    except csv.Error as error:
        raise WorkloadError(f"{path}:{lines.line_num}: not valid CSV: {error}") from None
    if not rows:
        raise WorkloadError(f"{path}: no rows below the header")
    frame = pd.DataFrame(rows, columns=header, dtype=object)
    frame.attrs["where"] = dict(enumerate(where))
    return frame


def _check_header(header: list[str], path: str, known: Sequence[str]) -> None:
    if len(header) == 1 and (other := next((mark for mark in ";\t|" if mark in header[0]), "")):
        raise WorkloadError(f"{path}:1: fields are separated by {other!r}, expected commas")
    for name in header:
        if name in RESULT_COLUMNS:
            raise WorkloadError(f"{path}:1: the column '{name}' is a result of predict")
        if name not in known:
            raise WorkloadError(f"{path}:1: unknown column '{name}', {_known(name, known)}")
        if header.count(name) > 1:
            raise WorkloadError(f"{path}:1: the column '{name}' stands twice")
    if "op" not in header:
        raise WorkloadError(f"{path}:1: the column 'op' is missing")


def _known(word: str, words: Iterable[str]) -> str:
    """Say which words are known, all of them, after the nearest if one is near."""
    names = list(words)
    near = suggest(word, names)
    every = f"known: {', '.join(names)}"
    return f"{near} {every}" if near.endswith("?") else every


def to_ops(row: Row) -> tuple[Op, ...]:
    """Turn a row into the ops it means: one, or the kernels of an MoE layer.

    Raises
    ------
    WorkloadError
        If the op is unknown, or a field missing, malformed or in conflict with another.
    """
    written = row.text("op")
    if not written:
        raise WorkloadError(f"{row.where}: op is missing")
    name = _ALIASES.get(written.lower(), written.lower())
    fields = OP_FIELDS.get(name)
    if fields is None:
        raise WorkloadError(f"{row.where}: unknown op '{written}', {_known(name, OP_FIELDS)}")
    missing = [field for field in fields.required if row.blank(field)]
    if missing:
        raise WorkloadError(
            f"{row.where}: {name} needs {', '.join(fields.required)}; missing: {', '.join(missing)}"
        )
    values = row.read(fields)
    if name == "matmul":
        return _matmul(row, values)
    if name == "attention":
        return (_attention(row, values),)
    if name == "moe":
        return _moe(row, values)
    if name in COLLECTIVES:
        size_bytes, devices = values["bytes"], values["devices"]
        return (Collective(name, fn=name, size_bytes=size_bytes, devices=devices),)
    out_dtype = "fp8" if name == "quantize" else None
    return (Vector(name, fn=name, out_dtype=out_dtype, **values),)


def _matmul(row: Row, values: Mapping[str, Any]) -> tuple[Op, ...]:
    # One matrix B is a weight and comes from memory; a batch of them are activations. Integer
    # and block-scaled inputs leave the unit as bf16, as the kernels of serving stacks do.
    batch, m, k, dtype = values["batch"], values["m"], values["k"], values["dtype"]
    stored = find_dtype(dtype)
    narrow = stored.bits < 16
    how = values["quantize"]
    if how == "auto":
        how = "block" if stored.block_scaled else "none"
    if how != "none" and not narrow:
        raise WorkloadError(
            f"{row.where}: quantize is {how}, but activations arrive as {ARRIVING} and {dtype} is "
            "no narrower; leave quantize blank, or choose dtype fp8, int8, nvfp4, ..."
        )
    _check_product(row, "batch x m", batch * m)
    product = MatMul(
        "matmul", batch=batch, m=m, n=values["n"], k=k, dtype=dtype,
        weight_dtype=dtype if batch == 1 else None, out_dtype=ARRIVING if narrow else None,
        scale_block=_scale_block(how, dtype),
    )  # fmt: skip
    return (*conversion_ops("matmul", how, batch * m, k, dtype), product)


def _scale_block(how: str, dtype: str) -> int | None:
    """Products that share scales which are not part of the format."""
    return SCALE_BLOCK if how == "block" and not find_dtype(dtype).block_scaled else None


def _attention(row: Row, values: Mapping[str, Any]) -> Attention:
    _check_product(row, "heads x q_len", values["heads"] * values["q_len"])
    try:
        return Attention("attention", v_head_dim=values["head_dim"], **values)
    except WorkloadError as error:
        raise WorkloadError(f"{row.where}: {error}") from None


def _check_product(row: Row, name: str, value: int) -> None:
    if value > LARGEST:
        raise WorkloadError(f"{row.where}: {name} is {value}, expected at most 2^40")


def _moe(row: Row, values: Mapping[str, Any]) -> tuple[Op, ...]:
    """Top-k, sort, permute, two grouped matmuls around the gate, weighted sum; logits are given.

    Rows are spread evenly over experts; `imbalance` is the share of them that comes to this
    device over its share of the experts. The device clears the results of tokens that none of
    its experts serves.
    """
    tokens, hidden, inter = values["tokens"], values["hidden"], values["inter"]
    experts, local, topk = values["experts"], values["experts_local"], values["topk"]
    if local > experts or topk > experts:
        raise WorkloadError(
            f"{row.where}: experts_local {local} and topk {topk} must not exceed experts {experts}"
        )
    _check_product(row, "tokens x topk", tokens * topk)
    rows = ceil(tokens * topk * min(1.0, values["imbalance"] * local / experts))
    dtype = values["dtype"]
    narrow = find_dtype(dtype).bits < 16
    wide = ARRIVING if narrow else dtype
    blocks, choices = sort_shape(tokens, topk)
    how = "block" if narrow else "none"
    work = {"rows": rows, "groups": local, "active": min(rows, local), "dtype": dtype,
            "weight_dtype": dtype, "out_dtype": wide,
            "scale_block": _scale_block(how, dtype)}  # fmt: skip
    copied = {"rows": rows, "cols": hidden}
    sort = (
        Vector(name, fn="sort", rows=blocks, cols=choices, dtype="int32")
        for name in sort_kernels(tokens)
    )
    return (
        Vector("moe.topk", fn="topk", rows=tokens, cols=experts, dtype=wide),
        *sort,
        *conversion_ops("moe", how, tokens, hidden, dtype),
        Vector("moe.permute", fn="permute", dtype=dtype, **copied),
        GroupedMatMul("moe.gate_up", n=2 * inter, k=hidden, **work),
        Vector("moe.act", fn="silu_mul", rows=rows, cols=inter, dtype=wide, out_dtype=dtype),
        GroupedMatMul("moe.down", n=hidden, k=inter, **work),
        Vector("moe.combine", fn="weighted_sum", dtype=wide, fan_in=rows / tokens, **copied),
    )
