"""Published figures that come with the package, each with its place in a paper or file.

A file of workloads/measurements names its source, how the source counts work and launched its
kernels, and blocks of figures: what the rows of a block share (``of``) and the rows, each with a
``rate`` or a ``time``, and with its own ``launch`` where that differs. Rows of ``runs`` are whole
networks, rows of ``sums`` ops that were timed one by one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import pandas as pd

from accelsim.documents import Document, read_yaml
from accelsim.dtypes import dtype as find_dtype
from accelsim.errors import SpecError, suggest
from accelsim.files import find_data
from accelsim.scenarios.op_table import COLUMNS
from accelsim.scenarios.options import RunOptions
from accelsim.timing.launch import LAUNCH
from accelsim.units import BANDWIDTH, COMPUTE_RATE, TIME, parse_quantity
from accelsim.validation.measured import LABELS, MeasuredOps, MeasuredRun, MeasuredSum
from accelsim.workload.ops import VECTOR_FUNCTIONS

FOLDER = "workloads/measurements"
_HEAD = ("suite", "title", "source", "basis", "launch", "figures", "runs", "sums")
_RUN_WORDS = {"model", "system", *(f.name for f in fields(RunOptions))}
_SUM_WORDS = ("name", "system", "dtype", "ops", "time")
_VALUES = ("rate", "time")


def published_figures() -> MeasuredOps:
    """Read all packaged figures.

    Raises
    ------
    SpecError
        If a file is malformed; the message names its line.
    """
    frames: list[dict[str, Any]] = []
    runs: list[MeasuredRun | MeasuredSum] = []
    for path in find_data(FOLDER, ".yaml").values():
        document = _read(path)
        frames += [_figure(labels, row, where) for labels, row, where in _rows(document, "figures")]
        runs += [_run(labels, row, where) for labels, row, where in _rows(document, "runs")]
        runs += [_sum(labels, row, where) for labels, row, where in _rows(document, "sums")]
    columns = [*COLUMNS, *LABELS, "measured_s"]
    return MeasuredOps(pd.DataFrame(frames, columns=columns), (), tuple(runs))


def _read(path: Path) -> Document:
    document = read_yaml(path, SpecError)
    if not isinstance(document.tree, dict):
        raise SpecError(f"{path}: expected a mapping with {', '.join(_HEAD)}")
    for key in document.tree:
        if key not in _HEAD:
            raise SpecError(f"{document.where((key,))}: unknown key '{key}', {suggest(key, _HEAD)}")
    for key in _HEAD[:5]:
        if not isinstance(document.tree.get(key), str):
            raise SpecError(f"{path}: '{key}' is missing: every figure has a source and a basis")
    return document


def _rows(document: Document, kind: str) -> Iterator[tuple[dict[str, str], dict[str, Any], str]]:
    """Give labels, fields and place of every row of the blocks of a kind."""
    tree = document.tree
    for index, block in enumerate(tree.get(kind) or ()):
        shared = dict(block.get("of") or {})
        for number, row in enumerate(block.get("rows") or ()):
            where = document.where((kind, index, "rows", number))
            cells = {**shared, **row}
            if len([name for name in _VALUES if name in cells]) != 1:
                raise SpecError(f"{where}: a figure has a rate or a time")
            chip = str(cells.pop("chip", ""))
            if not chip:
                raise SpecError(f"{where}: a figure needs a chip")
            launch = _launch(cells.pop("launch", tree["launch"]), where)
            place = f"{tree['title']}: {block.get('place', '')}".removesuffix(": ")
            labels = {
                "suite": tree["suite"], "device": chip, "chip": chip, "launch": launch,
                "source": tree["source"], "place": place,
            }  # fmt: skip
            yield labels, cells, where


def _launch(word: object, where: str) -> str:
    if word not in LAUNCH:
        raise SpecError(f"{where}: unknown launch '{word}', {suggest(str(word), LAUNCH)}")
    return str(word)


def _figure(labels: Mapping[str, str], cells: dict[str, Any], where: str) -> dict[str, Any]:
    for name in cells:
        if name not in (*COLUMNS, *_VALUES):
            raise SpecError(f"{where}: unknown column '{name}', {suggest(name, COLUMNS)}")
    op = {name: value for name, value in cells.items() if name not in _VALUES}
    return {**op, **labels, "measured_s": _measured_s(op, cells, where)}


def _measured_s(op: Mapping[str, Any], cells: Mapping[str, Any], where: str) -> float:
    try:
        if "time" in cells:
            return parse_quantity(str(cells["time"]), TIME)
        work, dimension = _work(op)
        return work / parse_quantity(str(cells["rate"]), dimension)
    except (KeyError, ValueError) as problem:
        raise SpecError(f"{where}: {problem}") from None


def _work(op: Mapping[str, Any]) -> tuple[float, Any]:
    """Return what a published rate of an op counts, and the rate's dimension."""
    if op["op"] == "matmul":
        return 2.0 * op.get("batch", 1) * op["m"] * op["n"] * op["k"], COMPUTE_RATE
    if op["op"] == "attention":
        pairs = op["q_len"] * op.get("kv_len", op["q_len"])
        shown = 0.5 if op.get("causal", True) else 1.0
        flop = 4.0 * op.get("batch", 1) * op["heads"] * op["head_dim"] * pairs * shown
        return flop, COMPUTE_RATE
    function = VECTOR_FUNCTIONS[op["op"]]
    tensors = function.inputs + function.outputs
    return tensors * op["rows"] * op["cols"] * find_dtype(op["dtype"]).bytes, BANDWIDTH


def _run(labels: Mapping[str, str], cells: Mapping[str, Any], where: str) -> MeasuredRun:
    for name in cells:
        if name not in _RUN_WORDS and name not in _VALUES:
            raise SpecError(f"{where}: unknown option '{name}', {suggest(name, _RUN_WORDS)}")
    chosen = {f.name: cells[f.name] for f in fields(RunOptions) if f.name in cells}
    options = RunOptions(**{**chosen, "launch": labels["launch"], "allow_oversubscribe": True})
    try:
        time_s = parse_quantity(str(cells["time"]), TIME) if "time" in cells else None
        rate = parse_quantity(str(cells["rate"]), COMPUTE_RATE) if "rate" in cells else None
    except ValueError as problem:
        raise SpecError(f"{where}: {problem}") from None
    return MeasuredRun(
        dict(labels), str(cells["model"]), str(cells["system"]), options, time_s, rate
    )


def _sum(labels: Mapping[str, str], cells: Mapping[str, Any], where: str) -> MeasuredSum:
    for name in (*cells, *_SUM_WORDS):
        if name not in _SUM_WORDS:
            raise SpecError(f"{where}: unknown field '{name}', {suggest(name, _SUM_WORDS)}")
        if name not in cells:
            raise SpecError(f"{where}: a sum needs {', '.join(_SUM_WORDS)}; '{name}' is missing")
    known = (*COLUMNS, "launch", "count")
    usual = {"dtype": cells["dtype"], "launch": labels["launch"], "count": 1}
    ops = [{**usual, **op} for op in cells["ops"]]
    for op in ops:
        _launch(op["launch"], where)
        for name in op:
            if name not in known:
                raise SpecError(f"{where}: unknown column '{name}', {suggest(name, known)}")
    return MeasuredSum(
        dict(labels), str(cells["name"]), str(cells["dtype"]), str(cells["system"]),
        pd.DataFrame(ops), _measured_s({}, cells, where),
    )  # fmt: skip
