"""A folder of tidy extracts of kernel measurements: gemm.csv, attention.csv, vector_ops.csv, ...

Its layout is that of the reference data that developers keep beside the checkout: one CSV (or
CSV.gz) per kind, times in microseconds, and beside the folder ``llmcompass/measured.csv``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from accelsim.errors import WorkloadError
from accelsim.validation import rules
from accelsim.validation.cells import possible, readable
from accelsim.validation.collectives import COLLECTIVE_SUITES, CUSTOM, collective_ops
from accelsim.validation.devices import chip_of_device
from accelsim.validation.measured import LeftOut, MeasuredOps, Screen, empty_frame, join

_PEER_ALL_REDUCE = "llmcompass_all_reduce"
FOLDER_SUITES = (
    "gemm", *rules.GEMM_QUANTISED, "gemm_fp32", "attention_context", "attention_generation",
    "elementwise_fp32", "rowwise_fp32", "moe", "layer_gemm_vidur", "llmcompass_matmul",
    "llmcompass_softmax", "llmcompass_layernorm", "llmcompass_gelu", _PEER_ALL_REDUCE,
    *COLLECTIVE_SUITES,
)  # fmt: skip
# How the host launched what was measured; graphs, or kernels timed on the device, where not said.
# The study of LLMCompass called norms and activations as functions compiled one by one.
_LAUNCHES = {
    **dict.fromkeys(("gemm_fp32", "elementwise_fp32", "rowwise_fp32"), "eager"),
    **dict.fromkeys(("llmcompass_matmul", "llmcompass_softmax"), "eager"),
    **dict.fromkeys(("llmcompass_layernorm", "llmcompass_gelu"), "compiled"),
}
_ROWWISE = ("softmax", "layernorm")
Part = tuple[str, pd.DataFrame, list[LeftOut]]


def read_folder(folder: str | Path, suites: Iterable[str] | None = None) -> MeasuredOps:
    """Read every table that is there.

    Parameters
    ----------
    folder : str or Path
        See the head of this module.
    suites : iterable of str, optional
        These classes only.

    Raises
    ------
    WorkloadError
        If there is no such folder, none of its tables, or one lacks a column. A malformed cell
        leaves out its row, counted.
    """
    root = Path(folder)
    if not root.is_dir():
        raise WorkloadError(f"{folder} is no folder of measurements")
    parts: list[MeasuredOps] = []
    wanted = set(FOLDER_SUITES if suites is None else suites)
    tables = 0
    for name, reader in _TABLES.items():
        table = _table(root / name)
        if table is None:
            continue
        tables += ".." not in name
        table, malformed = readable(Path(name).name.partition(".")[0], table)
        parts.append(MeasuredOps(empty_frame(), tuple(malformed)))
        try:
            for suite, ops, left_out in reader(table):
                if suite in wanted:
                    kept, impossible = possible(suite, ops)
                    parts.append(_labelled(suite, kept, [*left_out, *impossible], root.name))
        except KeyError as missing:
            raise WorkloadError(f"{root / name}: the column {missing} is missing") from None
    if not tables:
        raise WorkloadError(
            f"{folder} holds none of {', '.join(n for n in _TABLES if '..' not in n)}"
        )
    return join(parts)


def _table(path: Path) -> pd.DataFrame | None:
    """Read a CSV or its gzipped form; None where there is neither."""
    for place in (path, path.with_name(path.name + ".gz")):
        if place.exists():
            try:
                return pd.read_csv(place, low_memory=False)
            except (ValueError, UnicodeDecodeError, OSError) as problem:
                raise WorkloadError(f"{place}: not valid CSV: {problem}") from None
    return None


def _labelled(suite: str, ops: pd.DataFrame, left_out: list[LeftOut], source: str) -> MeasuredOps:
    """Add the labels; rows of devices without a chip spec are counted and left out."""
    chips = {device: chip_of_device(device) for device in ops["device"].unique()}
    frame = ops.assign(
        suite=suite, chip=ops["device"].map(chips), source=source,
        launch=_LAUNCHES.get(suite, "graph"), place=suite,
    )  # fmt: skip
    unknown = frame[frame["chip"].isna()]
    counts = [
        LeftOut(suite, str(device), rules.NO_CHIP, len(rows))
        for device, rows in unknown.groupby("device", sort=True)
    ]
    kept = frame[frame["chip"].notna()].reset_index(drop=True)
    return MeasuredOps(kept, (*left_out, *counts))


def _gemm(table: pd.DataFrame) -> Iterator[Part]:
    captured = table[table["source"] == "aiconfigurator"]
    for suite, (name, way) in rules.GEMM_QUANTISED.items():
        rows = Screen(suite, captured[captured["dtype"] == name])
        _drop_spoiled(rows)
        yield suite, _matmuls(rows.frame).assign(dtype="fp8", quantize=way), rows.left_out
        captured = captured[captured["dtype"] != name]
    graphs = Screen("gemm", captured)
    graphs.drop(graphs.frame["dtype"].isin(rules.GEMM_WEIGHT_ONLY), rules.WEIGHT_ONLY)
    graphs.drop(~graphs.frame["dtype"].isin(list(rules.GEMM_DTYPES)), rules.OTHER_FORMAT)
    _drop_spoiled(graphs)
    yield "gemm", _matmuls(graphs.frame), graphs.left_out
    eager = Screen("gemm_fp32", table[table["source"] == "neusight"])
    _drop_short(eager, rules.SHORTEST_EAGER_GEMM_US)
    yield "gemm_fp32", _matmuls(eager.frame), eager.left_out


def _drop_spoiled(graphs: Screen) -> None:
    graphs.drop(graphs.frame["l2_resident"] == 1, rules.L2_RESIDENT)
    _drop_short(graphs, rules.SHORTEST_GEMM_US)


def _matmuls(kept: pd.DataFrame) -> pd.DataFrame:
    batch = kept["batch"].fillna(1)
    names = {**rules.GEMM_DTYPES, "fp32": "fp32"}
    return pd.DataFrame({
        "device": kept["device"], "op": "matmul", "dtype": kept["dtype"].map(names),
        "batch": batch, "m": kept["m"], "n": kept["n"], "k": kept["k"],
        "measured_s": kept["latency_us"] * 1e-6,
    })  # fmt: skip


def _attention(table: pd.DataFrame) -> Iterator[Part]:
    for phase in ("context", "generation"):
        rows = Screen(f"attention_{phase}", table[table["phase"] == phase])
        rows.drop(rows.frame["flag"].notna(), rules.SUSPECT_FMHA)
        unknown = ~rows.frame["attn_dtype"].isin(list(rules.ATTENTION_DTYPES))
        rows.drop(unknown, rules.OTHER_FORMAT)
        _drop_short(rows, rules.SHORTEST_ATTENTION_US)
        kept = rows.frame
        cache = kept["kv_cache_dtype"].map(rules.ATTENTION_DTYPES).fillna("bf16")
        ops = pd.DataFrame({
            "device": kept["device"], "op": "attention",
            "dtype": kept["attn_dtype"].map(rules.ATTENTION_DTYPES), "kv_dtype": cache,
            **{name: kept[name] for name in
               ("batch", "heads", "kv_heads", "head_dim", "q_len", "kv_len")},
            "causal": phase == "context", "replayed": True,
            "measured_s": kept["latency_us"] * 1e-6,
        })  # fmt: skip
        yield rows.suite, ops, rows.left_out


def _vector(table: pd.DataFrame) -> Iterator[Part]:
    rowwise = table["op"].isin(_ROWWISE)
    for suite, part in (("elementwise_fp32", table[~rowwise]), ("rowwise_fp32", table[rowwise])):
        rows = Screen(suite, part)
        _drop_short(rows, rules.SHORTEST_EAGER_VECTOR_US)
        kept = rows.frame
        yield suite, pd.DataFrame({
            "device": kept["device"], "op": kept["op"], "dtype": "fp32", "rows": kept["rows"],
            "cols": kept["cols"], "measured_s": kept["latency_us"] * 1e-6,
        }), rows.left_out  # fmt: skip


def _moe(table: pd.DataFrame) -> Iterator[Part]:
    rows = Screen("moe", table)
    rows.drop(rows.frame["distribution"] != "balanced", rules.UNBALANCED)
    rows.drop(~rows.frame["dtype"].isin(list(rules.MOE_DTYPES)), rules.OTHER_FORMAT)
    _drop_short(rows, rules.SHORTEST_MOE_US)
    kept = rows.frame
    yield "moe", pd.DataFrame({
        "device": kept["device"], "op": "moe", "dtype": kept["dtype"].map(rules.MOE_DTYPES),
        "tokens": kept["num_tokens"], "hidden": kept["hidden_size"],
        "inter": kept["inter_size"] // kept["moe_tp_size"], "experts": kept["num_experts"],
        "experts_local": kept["num_experts"] // kept["moe_ep_size"], "topk": kept["topk"],
        "measured_s": kept["latency_us"] * 1e-6,
    }), rows.left_out  # fmt: skip


def _layers(table: pd.DataFrame) -> Iterator[Part]:
    """Four GEMMs of a layer on one of `tp` devices: QKV, attention output, up (and gate), down."""
    head_dim = table["n_embd"] // table["n_head"]
    queries = table["n_head"] // table["tp"] * head_dim
    cached = np.maximum(1, table["n_kv_head"] // table["tp"]) * head_dim
    inner = table["n_expanded_embd"] // table["tp"]
    gates = np.where(table["use_gated_mlp"].astype(bool), 2, 1)
    shapes = {
        "attn_pre_proj_us": (queries + 2 * cached, table["n_embd"]),
        "attn_post_proj_us": (table["n_embd"], queries),
        "mlp_up_proj_us": (inner * gates, table["n_embd"]),
        "mlp_down_proj_us": (table["n_embd"], inner),
    }
    gemms = [
        pd.DataFrame({"device": table["device"], "m": table["num_tokens"], "n": n, "k": k,
                      "latency_us": table[column]})
        for column, (n, k) in shapes.items()
    ]  # fmt: skip
    rows = Screen("layer_gemm_vidur", pd.concat(gemms, ignore_index=True))
    rows.frame = rows.frame[rows.frame["latency_us"].notna()]
    _drop_short(rows, rules.SHORTEST_LAYER_US)
    kept = rows.frame
    ops = kept[["device", "m", "n", "k"]].assign(
        op="matmul", dtype="fp16", measured_s=kept["latency_us"] * 1e-6
    )
    yield rows.suite, ops, rows.left_out


def _host_timed(table: pd.DataFrame) -> Iterator[Part]:
    # The table counts elements of GeLU: one row of them.
    table = table.assign(rows=table["rows"].fillna(1), cols=table["cols"].fillna(table["elements"]))
    for op in ("matmul", "softmax", "layernorm", "gelu"):
        kept = table[(table["op"] == op) & (table["n_devices"] == 1)]
        sizes = ("m", "n", "k") if op == "matmul" else ("rows", "cols")
        ops = kept[["device", *sizes]].assign(
            op=op, dtype="bf16" if op == "matmul" else "fp16",
            measured_s=kept["measured_latency_s"],
        )  # fmt: skip
        yield f"llmcompass_{op}", ops, []
    linked = table[table["op"] == "allreduce"]
    rows = Screen(_PEER_ALL_REDUCE, linked.assign(
        num_gpus=linked["n_devices"], per_node=linked["n_devices"],
        latency_us=linked["measured_latency_s"] * 1e6,
    ))  # fmt: skip
    yield rows.suite, collective_ops(rows, "all_reduce"), rows.left_out


def _collectives(table: pd.DataFrame) -> Iterator[Part]:
    """Collectives of NCCL and of a serving library."""
    custom = table["source"].str.contains("custom_allreduce")
    paired = table["topology"].str.contains("pairwise")
    spread = table["topology"].str.extract(r"devices_per_node=(\d+)", expand=False).astype(float)
    # Links between pairs of cards make no node that a packaged system has.
    per_node = spread.fillna(table["num_gpus"]).where(~paired, 0)
    table = table.assign(suite=table["op"].where(~custom, CUSTOM), per_node=per_node)
    for suite in COLLECTIVE_SUITES:
        rows = Screen(suite, table[table["suite"] == suite])
        op = "all_reduce" if suite == CUSTOM else suite
        yield suite, collective_ops(rows, op), rows.left_out


def _drop_short(rows: Screen, shortest_us: float) -> None:
    rows.drop(rows.frame["latency_us"] < shortest_us, rules.SHORT.format(shortest_us))


_TABLES: dict[str, Callable[[pd.DataFrame], Iterator[Part]]] = {
    "gemm.csv": _gemm,
    "attention.csv": _attention,
    "vector_ops.csv": _vector,
    "moe.csv": _moe,
    "layer_vidur.csv": _layers,
    "collectives.csv": _collectives,
    "../llmcompass/measured.csv": _host_timed,
}
