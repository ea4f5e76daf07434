"""Kernel measurements of the extra ``accelsim[silicon]``: the files of PyPI's aiconfigurator-core.

The package's data are read through pyarrow; none of its code is run. Times are means of captured
graphs, without the host.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
from collections.abc import Callable, Iterable
from pathlib import Path

import pandas as pd

from accelsim.arch.loader import load_chip
from accelsim.validation import rules
from accelsim.validation.cells import possible
from accelsim.validation.collectives import CUSTOM, collective_ops
from accelsim.validation.devices import chip_of_device
from accelsim.validation.measured import LeftOut, MeasuredOps, Screen, join

PACKAGE = "aiconfigurator-core"
HOW_TO_GET_MORE = "millions of measured kernels: pip install 'accelsim[silicon]'"
_COLLECTIVES = {
    **{name: name for name in ("all_reduce", "all_gather", "reduce_scatter")},
    "all_to_all": "alltoall",
}
"""Class to the name that the files have."""
_NETWORK = "comm"
SUITES = (
    "gemm", *rules.GEMM_QUANTISED, "attention_context", "attention_generation", "moe",
    *_COLLECTIVES, CUSTOM,
)  # fmt: skip
_MODULE = "aiconfigurator_core"
_BACKENDS = ("trtllm", "vllm", "sglang")
# Decode of this collector read a cache of keys only: up to 1.7 times the memory's peak.
_REJECTED = {("attention", "trtllm", "1.0.0")}
_LEGACY = "1.0."
_SAME_TIME = 0.05


def silicon_folder() -> Path | None:
    """Find the installed data without importing their package; None where it is not installed."""
    spec = importlib.util.find_spec(_MODULE)
    for place in (spec.submodule_search_locations or ()) if spec else ():
        folder = Path(place) / "systems" / "data"
        if folder.is_dir():
            return folder
    return None


def silicon_version() -> str:
    """Version of the installed package."""
    try:
        return importlib.metadata.version(PACKAGE)
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def read_silicon(
    folder: Path,
    chips: Iterable[str] | None = None,
    suites: Iterable[str] = SUITES,
    *,
    rows: int = 0,
) -> MeasuredOps:
    """Read the kernels of every device that has a chip spec.

    Parameters
    ----------
    folder : Path
        As `silicon_folder` finds it: GPU / kind / backend / version / \\*.parquet.
    chips : iterable of str, optional
        These chips only.
    suites : iterable of str
        Classes to read.
    rows : int
        Most rows of a class, device and dtype; 0: all.
    """
    wanted = None if chips is None else set(chips)
    parts: list[MeasuredOps] = []
    for place in sorted(path for path in folder.iterdir() if path.is_dir()):
        chip = chip_of_device(place.name)
        if chip is None or (wanted is not None and chip not in wanted):
            continue
        for suite in SUITES:
            source = _fullest(place, suite) if suite in suites else None
            if source is not None:
                parts.append(_read(source, suite, place.name, chip).limited(rows))
    found = join(parts)
    return MeasuredOps(found.frame, found.left_out, (), {PACKAGE: silicon_version()})


_GEMM = ("gemm", "gemm_perf.parquet")
_FILES = {
    **dict.fromkeys(("gemm", *rules.GEMM_QUANTISED), _GEMM),
    "attention_context": ("attention", "context_attention_perf.parquet"),
    "attention_generation": ("attention", "generation_attention_perf.parquet"),
    "moe": ("moe", "moe_perf.parquet"),
    **dict.fromkeys(_COLLECTIVES, (_NETWORK, "nccl_perf.parquet")),
    CUSTOM: (_NETWORK, "custom_allreduce_perf.parquet"),
}


def _fullest(place: Path, suite: str) -> Path | None:
    """File of a class from the preferred backend that has one: its largest, then newest, version.

    A newer version may hold only what was collected in addition; of collectives it holds all, and
    the newest is taken.
    """
    kind, name = _FILES[suite]
    for backend in ("nccl",) if suite in _COLLECTIVES else _BACKENDS:
        files = [
            path
            for path in (place / kind / backend).glob(f"*/{name}")
            if (kind, backend, path.parent.name) not in _REJECTED
        ]
        if files:
            sizes = {p: 0 if kind == _NETWORK else p.stat().st_size for p in files}
            return max(files, key=lambda p: (sizes[p], _version_key(p.parent.name)))
    return None


def _version_key(version: str) -> tuple[int, ...]:
    """Order versions by their numbers; a release candidate comes before its release."""
    numbers = re.findall(r"\d+", version.partition("rc")[0])
    padded = (*map(int, numbers), 0, 0, 0, 0)[:4]
    candidate = re.search(r"rc(\d+)", version)
    return (*padded, int(candidate[1]) if candidate else 10**6)


def _read(path: Path, suite: str, device: str, chip: str) -> MeasuredOps:
    from pyarrow import parquet

    # A single file: a reader of whole folders would take 'GPU/kind' for partitions.
    table = parquet.ParquetFile(path).read().to_pandas()
    backend, version = path.parent.parent.name, path.parent.name
    frame = table.assign(
        latency_us=table["latency"].astype(float) * 1e3, backend=backend, version=version
    )
    found, left_out = _READERS[suite](Screen(suite, frame, device), chip)
    ops, impossible = possible(suite, found, device)
    labels = {
        "suite": suite, "device": device, "chip": chip, "launch": "graph",
        "source": f"{PACKAGE} {backend} {version}", "place": path.name,
    }  # fmt: skip
    return MeasuredOps(ops.assign(**labels).reset_index(drop=True), (*left_out, *impossible))


def _gemm(screen: Screen, chip: str) -> tuple[pd.DataFrame, tuple[LeftOut, ...]]:
    dtype = screen.frame["gemm_dtype"]
    screen.frame = screen.frame[~dtype.isin([name for name, _ in rules.GEMM_QUANTISED.values()])]
    screen.drop(screen.frame["gemm_dtype"].isin(rules.GEMM_WEIGHT_ONLY), rules.WEIGHT_ONLY)
    screen.drop(~screen.frame["gemm_dtype"].isin(list(rules.GEMM_DTYPES)), rules.OTHER_FORMAT)
    ops = _matmuls(screen, chip)
    return ops.assign(dtype=screen.frame["gemm_dtype"].map(rules.GEMM_DTYPES)), (*screen.left_out,)


def _quantised_gemm(screen: Screen, chip: str) -> tuple[pd.DataFrame, tuple[LeftOut, ...]]:
    """GEMMs whose time includes the kernels that convert the activations."""
    name, way = rules.GEMM_QUANTISED[screen.suite]
    screen.frame = screen.frame[screen.frame["gemm_dtype"] == name]
    ops = _matmuls(screen, chip)
    return ops.assign(dtype="fp8", quantize=way), tuple(screen.left_out)


def _matmuls(screen: Screen, chip: str) -> pd.DataFrame:
    """Drop short rows and those that ran from the L2; what is left has no dtype yet."""
    _drop_short(screen, rules.SHORTEST_GEMM_US)
    legacy = screen.frame["version"].str.startswith(_LEGACY).any()
    inside = rules.l2_resident(screen.frame, load_chip(chip).shared_bytes, always_five=bool(legacy))
    screen.drop(inside, rules.L2_RESIDENT)
    kept = screen.frame
    return pd.DataFrame({
        "op": "matmul", "dtype": "", "batch": 1, "m": kept["m"], "n": kept["n"], "k": kept["k"],
        "measured_s": kept["latency_us"] * 1e-6,
    })  # fmt: skip


def _attention(screen: Screen, _: str) -> tuple[pd.DataFrame, tuple[LeftOut, ...]]:
    context = screen.suite == "attention_context"
    if context:
        screen.drop(_runs_fp8(screen.frame), rules.SUSPECT_FMHA)
    for column in ("attn_dtype", "kv_cache_dtype"):
        unknown = ~screen.frame[column].isin(list(rules.ATTENTION_DTYPES))
        screen.drop(unknown, rules.OTHER_FORMAT)
    if "window_size" in screen.frame:
        screen.drop(screen.frame["window_size"] > 0, rules.WINDOWED)
    _drop_short(screen, rules.SHORTEST_ATTENTION_US)
    kept = screen.frame
    new = kept["isl"] if context else 1
    ops = pd.DataFrame({
        "op": "attention", "dtype": kept["attn_dtype"].map(rules.ATTENTION_DTYPES),
        "kv_dtype": kept["kv_cache_dtype"].map(rules.ATTENTION_DTYPES),
        "batch": kept["batch_size"], "heads": kept["num_heads"],
        "kv_heads": kept["num_key_value_heads"], "head_dim": kept["head_dim"], "q_len": new,
        "kv_len": kept["isl"] if context else kept["isl"] + kept["step"], "causal": context,
        "replayed": True, "measured_s": kept["latency_us"] * 1e-6,
    })  # fmt: skip
    return ops, tuple(screen.left_out)


def _runs_fp8(frame: pd.DataFrame) -> pd.Series[bool]:
    """Rows labelled bf16 with an fp8 cache on a device where these take as long as fp8 ones."""
    shape = [c for c in ("batch_size", "isl", "num_heads", "num_key_value_heads", "head_dim",
                         "window_size") if c in frame]  # fmt: skip
    narrow = frame["kv_cache_dtype"] == "fp8"
    mixed = frame[narrow & (frame["attn_dtype"] == "bfloat16")]
    plain = frame[narrow & (frame["attn_dtype"] == "fp8")]
    both = mixed.merge(plain, on=shape, suffixes=("", "_fp8"))
    spoiled = pd.Series(False, index=frame.index)
    if len(both):
        apart = (both["latency_us"] / both["latency_us_fp8"] - 1.0).abs().median()
        spoiled[mixed.index] = bool(apart < _SAME_TIME)
    return spoiled


def _moe(screen: Screen, _: str) -> tuple[pd.DataFrame, tuple[LeftOut, ...]]:
    screen.drop(screen.frame["distribution"] != "balanced", rules.UNBALANCED)
    screen.drop(~screen.frame["moe_dtype"].isin(list(rules.MOE_DTYPES)), rules.OTHER_FORMAT)
    screen.drop(screen.frame["kernel_source"].str.contains("nongated"), rules.NO_GATE)
    _drop_short(screen, rules.SHORTEST_MOE_US)
    kept = screen.frame
    ops = pd.DataFrame({
        "op": "moe", "dtype": kept["moe_dtype"].map(rules.MOE_DTYPES),
        "tokens": kept["num_tokens"], "hidden": kept["hidden_size"],
        "inter": kept["inter_size"] // kept["moe_tp_size"], "experts": kept["num_experts"],
        "experts_local": kept["num_experts"] // kept["moe_ep_size"], "topk": kept["topk"],
        "measured_s": kept["latency_us"] * 1e-6,
    })  # fmt: skip
    return ops, tuple(screen.left_out)


def _collectives(screen: Screen, _: str) -> tuple[pd.DataFrame, tuple[LeftOut, ...]]:
    """Collectives of half-precision elements, which the files count, inside one node."""
    rows = screen.frame
    if screen.suite == CUSTOM:
        rows = rows[rows["allreduce_dtype"] == "bfloat16"]
    else:
        rows = rows[
            (rows["op_name"] == _COLLECTIVES[screen.suite]) & (rows["nccl_dtype"] == "half")
        ]
    size_bytes = 2 * rows["message_size"]
    screen.frame = rows.assign(bytes=size_bytes, per_node=rows["num_gpus"])
    op = "all_reduce" if screen.suite == CUSTOM else screen.suite
    return collective_ops(screen, op).drop(columns="device"), tuple(screen.left_out)


def _drop_short(screen: Screen, shortest_us: float) -> None:
    screen.drop(screen.frame["latency_us"] < shortest_us, rules.SHORT.format(shortest_us))


_READERS: dict[str, Callable[[Screen, str], tuple[pd.DataFrame, tuple[LeftOut, ...]]]] = {
    "gemm": _gemm,
    **dict.fromkeys(rules.GEMM_QUANTISED, _quantised_gemm),
    "attention_context": _attention,
    "attention_generation": _attention,
    "moe": _moe,
    **dict.fromkeys((*_COLLECTIVES, CUSTOM), _collectives),
}
