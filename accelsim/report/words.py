"""A result in words: the sentences that head tables, pictures and reports."""

from __future__ import annotations

import math

from accelsim.dtypes import dtype as find_dtype
from accelsim.results.run_result import OpRow, RunResult
from accelsim.results.together import TogetherResult
from accelsim.units import format_si

BOUND_WORDS = {
    "compute": "matrix compute",
    "load": "loading weights into the array",
    "vector": "vector arithmetic",
    "special": "special functions (exp, rsqrt)",
    "memory": "memory bandwidth",
    "latency": "memory latency",
    "l2": "the bandwidth of the shared buffer",
    "network": "the network",
    "power": "board power",
    "overhead": "kernel overhead",
}

RESOURCE_WORDS = {
    "matrix": "matrix units", "vector": "vector units", "memory": "main memory",
    "shared": "shared buffer", "network": "links", "launch": "launch of kernels",
    "memory_latency": "memory latency", "gaps": "gaps", "others": "waiting for other chips",
    "power": "work at the power limit",
}  # fmt: skip
"""Names of what a critical path spends its time on."""


def percent(fraction: float) -> str:
    """Write a ratio as a percentage with two or three digits."""
    value = 100 * fraction
    if 0 < value < 0.1:
        return "<0.1 %"
    return f"{value:.1f} %" if value < 10 else f"{value:.0f} %"


def rate(flop_per_s: float, dtype: str) -> str:
    """Write a speed of arithmetic; integer formats do operations, not FLOP."""
    return format_si(flop_per_s, "OP/s" if find_dtype(dtype).kind == "int" else "FLOP/s")


def bound_word(bound: str) -> str:
    """Name a bound as one would in a sentence."""
    return BOUND_WORDS.get(bound, bound)


def resource_word(resource: str) -> str:
    """Name a resource of the critical path as one would in a sentence."""
    return RESOURCE_WORDS.get(resource, resource)


def gain_words(new_s: float, old_s: float) -> str:
    """Say by how much a time would shrink (−) or grow (+); less than 0.1 % is nothing."""
    change = new_s / old_s - 1
    if abs(change) < 1e-3:
        return "no gain"
    return f"−{percent(-change)}" if change < 0 else f"+{percent(change)}, slower"


def role_word(role: str) -> str:
    """Name a role of memory (``kv_cache``) as one would in a sentence."""
    return {"kv_cache": "KV cache"}.get(role, role.replace("_", " "))


def short_name(name: str) -> str:
    """Shorten a fused op's name: ``mlp.down+mlp.residual`` becomes ``mlp.down+residual``."""
    first, *rest = name.split("+")
    prefix = first.rpartition(".")[0] + "."
    return "+".join([first, *(part.removeprefix(prefix) for part in rest)])


def token_rate(tokens_per_s: float) -> str:
    """Write tokens per second with four digits, never as a power of ten."""
    digits = max(0, 3 - math.floor(math.log10(tokens_per_s))) if tokens_per_s > 0 else 0
    return f"{tokens_per_s:,.{digits}f}"


def detail(result: RunResult | TogetherResult) -> str:
    """Say in one line what was run on what: the small print of a picture."""
    if isinstance(result, TogetherResult):
        return _detail_of_tenants(result)
    lengths = f", {result.input_len} tokens in"
    if result.phase == "generate":
        lengths += f", {result.output_len} out"
    elif result.phase == "decode":
        lengths = f", {result.input_len} tokens in the cache"
    elif result.phase == "forward":
        lengths = ""
    where = result.system if result.devices == 1 else f"{result.system}, {result.devices} devices"
    weights = f" ({result.weight_dtype} weights)" if result.weight_dtype else ""
    return (
        f"{result.model} {result.phase} in {result.dtype}{weights}, batch {result.batch}"
        f"{lengths}; on {where}, {result.engine} engine"
    )


def _detail_of_tenants(result: TogetherResult) -> str:
    tenants = []
    for tenant in result.tenants:
        passes = f", {tenant.passes} passes" if tenant.passes > 1 else ""
        cores = f"{tenant.cores} core{'s' if tenant.cores > 1 else ''}"
        tenants.append(f"{tenant.model} {tenant.phase} on {cores} ({tenant.name}{passes})")
    return f"{', '.join(tenants)}; together on {result.chip}, event engine"


def longest(result: RunResult, bound: str | None = None, limit: int = 3) -> list[OpRow]:
    """Return the rows that take the most time, among those with this bound if one is given."""
    rows = [row for row in result.rows if bound in (None, row.bound)]
    return sorted(rows, key=lambda row: -row.latency_s * row.count)[:limit]


def bottleneck_sentence(result: RunResult) -> str:
    """Say which resource limits the run and through which ops."""
    bound = result.bottleneck
    ops_s = sum(result.time_by_bound_s.values())
    share = result.time_by_bound_s[bound] / ops_s if ops_s else 0.0
    names = ", ".join(dict.fromkeys(short_name(row.name) for row in longest(result, bound)))
    return f"{bound_word(bound)} limits {percent(share)} of the time: {names}"


def memory_sentence(result: RunResult) -> str:
    """Say how much memory one device needs of what it has."""
    need, have = result.memory_bytes, result.memory_capacity_bytes
    text = f"{format_si(need, 'B')} of {format_si(have, 'B')}"
    if need > have:
        return f"{text}: does not fit, {format_si(need - have, 'B')} too much"
    return f"{text} ({percent(need / have)})"


def tokens(result: RunResult) -> float:
    """Tokens of the run, all sequences, or inferences: see `unit_of_work`."""
    return result.tokens_per_s * result.latency_s


def unit_of_work(result: RunResult) -> str:
    """Name what rates and energies refer to: a token, or an inference of a network without."""
    return "inference" if result.phase == "forward" else "token"


def answer(result: RunResult) -> tuple[tuple[str, str], ...]:
    """Return the answer as pairs of a label and a value with its unit."""
    done = tokens(result)
    pairs = [
        ("latency", format_si(result.latency_s, "s")),
        ("throughput", f"{token_rate(result.tokens_per_s)} {unit_of_work(result)}s/s"),
    ]
    if result.ttft_s is not None:
        pairs.append(("time to first token", format_si(result.ttft_s, "s")))
    if result.tpot_s is not None:
        pairs.append(("time per output token", format_si(result.tpot_s, "s")))
    energy = format_si(result.energy_j, "J")
    if done > 0:
        energy += f", {format_si(result.energy_j / done, 'J')} per {unit_of_work(result)}"
    watts = format_si(result.average_power_w, "W")
    pairs += [
        ("energy", energy),
        ("average power", watts if result.devices == 1 else f"{watts}, {result.devices} devices"),
        ("compute used (MFU)", f"{percent(result.mfu)} of {_rate(result)}"),
        (
            "bandwidth used (MBU)",
            f"{percent(result.mbu)} of {format_si(result.peak_bytes_per_s, 'B/s')}",
        ),
        ("memory per device", memory_sentence(result)),
        ("bottleneck", bottleneck_sentence(result)),
    ]
    return tuple(pairs)


def _rate(result: RunResult) -> str:
    return f"{rate(result.peak_flop_per_s, result.dtype)} {result.dtype}"
