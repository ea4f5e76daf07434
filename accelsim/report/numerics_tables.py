"""Quality of a precision beside its cost, in tables: variants, ops, layers, faults."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence

from accelsim.arch.arithmetic import family_name
from accelsim.arithmetic import Arithmetic
from accelsim.documents import printable
from accelsim.functional.layer_errors import LayerError
from accelsim.functional.quality import LogitQuality
from accelsim.report.spec_tables import sum_words
from accelsim.report.tables import Column, Table
from accelsim.report.words import percent, token_rate
from accelsim.scenarios.numerics_result import NumericsResult
from accelsim.units import format_si

MARK = "||"
"""Stands in a text before the first word that fp32 did not write."""
_SHOWN_LETTERS = 240
_WORST_OPS = 6
_WORST_OPS_EACH = 2
_LARGE_CHANGE = 10.0

_QUALITY_COLUMNS = (
    Column("variant"), Column("layer weights (bit)", right=True, rank=3),
    Column("KL (nat)", right=True), Column("worst KL (nat)", right=True, rank=5),
    Column("logits off by (rms)", right=True, rank=4), Column("top-1 kept", right=True),
    Column("perplexity", right=True), Column("against fp32", right=True, rank=2),
    Column("tokens", right=True, rank=4), Column("same tokens", right=True, rank=2),
    Column("time", right=True, rank=1), Column("tokens/s", right=True, rank=4),
    Column("J/token", right=True),
)  # fmt: skip
_FAULT_COLUMNS = (
    ("flips", "flipped data bits"), ("check_flips", "flipped check bits"),
    ("corrected", "corrected words"), ("detected", "detected words"),
    ("miscorrected", "miscorrected words"), ("undetected", "undetected words"),
    ("values_changed", "changed values"),
)  # fmt: skip


def op_place(name: str) -> tuple[int | None, str]:
    """Split the name of an op's output: ``blk.3.attn_q`` is (3, "attn_q").

    Parameters
    ----------
    name : str
        As `LayerError` has it; those outside of layers have none.
    """
    parts = name.split(".")
    if len(parts) == 3 and parts[0] == "blk" and parts[1].isdigit():
        return int(parts[1]), parts[2]
    return None, name


def decibels(value: float) -> str:
    """Write a signal to noise ratio [dB]; without any noise the result is exact."""
    if math.isfinite(value):
        return f"{value:.1f}"
    return "NaN" if math.isnan(value) else "exact" if value > 0 else "no signal"


def chip_names(results: Sequence[NumericsResult]) -> str:
    """Return the chips of results, each once: "h100_sxm, mi300x"."""
    return ", ".join(dict.fromkeys(result.chip for result in results))


def quality_table(results: Sequence[NumericsResult]) -> Table:
    """One row per variant: what it does to the model, and what it costs on the chip.

    Parameters
    ----------
    results : sequence of NumericsResult
        Of one study.

    Returns
    -------
    Table
        Time and energy are those of the prompt and of the tokens that the variant made, which may
        end its text before others do.
    """
    first = results[0]
    columns = len(_QUALITY_COLUMNS)
    fp32 = ["fp32", "32", "0", "0", "0", percent(1.0), f"{first.reference_perplexity:.4g}"]
    generated = len(first.reference_tokens)
    same = f"{generated} of {generated}" if generated else "-"
    fp32 += ["reference", f"{generated}", same]
    rows = [tuple(fp32 + ["-"] * (columns - len(fp32))), *map(_quality_cells, results)]
    title = (
        f"Quality over {first.quality.tokens} tokens of text, against fp32; time and energy on "
        f"{chip_names(results)}: {length_words(results)}"
    )
    return Table(title, _QUALITY_COLUMNS, tuple(rows), breaks=(1,))


def length_words(results: Sequence[NumericsResult]) -> str:
    """Say what was timed: "44 tokens in, 8 out", or "3 to 8 out" where some texts ended earlier."""
    made = [r.timing.output_len if _generated(r) else 0 for r in results]
    least, most = min(made), max(made)
    out = f"{most}" if least == most else f"{least} to {most}"
    return f"{results[0].timing.input_len} tokens in, {out} out"


def _generated(result: NumericsResult) -> bool:
    return result.timing.phase == "generate" and bool(result.tokens)


def _quality_cells(result: NumericsResult) -> tuple[str, ...]:
    quality = result.quality
    change = result.perplexity / result.reference_perplexity - 1.0
    bad = f"NaN in {quality.bad_tokens:,} of {quality.tokens:,}"
    made = len(result.reference_tokens)
    same = made if result.diverges_at is None else result.diverges_at
    latency_s, rate, energy_j = result.latency_s, result.tokens_per_s, result.energy_per_token_j
    generates = _generated(result)
    return (
        result.variant, f"{result.weight_bits:.4g}", _divergence(quality, bad),
        _number(quality.kl_max_nats, ".3g"), _number(quality.rms, ".3g"),
        percent(quality.top1_agreement), _number(result.perplexity, ".4g", bad),
        _change(change),
        f"{len(result.tokens)}", f"{same} of {made}" if made else "-",
        format_si(latency_s, "s"),
        token_rate(rate) if generates else "-",
        format_si(energy_j, "J") if generates else "-",
    )  # fmt: skip


def _divergence(quality: LogitQuality, otherwise: str) -> str:
    """Write mean KL with its standard error."""
    mean = _number(quality.kl_nats, ".3g", otherwise)
    known = math.isfinite(quality.kl_nats) and quality.kl_error_nats > 0
    return f"{mean} ± {quality.kl_error_nats:.1g}" if known else mean


def _change(share: float) -> str:
    """Write a change of perplexity in percent, a large one as a factor."""
    if not math.isfinite(share):
        return "-"
    return f"{100 * share:+.2f} %" if share < _LARGE_CHANGE else f"x {1 + share:.3g}"


def chips_table(results: Sequence[NumericsResult]) -> Table:
    """Whether bits and texts are those of the first chip; empty for one chip.

    Parameters
    ----------
    results : sequence of NumericsResult
        Of a `NumericsComparison`.
    """
    rows = []
    for result in results:
        difference = result.against_first_chip
        if difference is None:
            continue
        at, made = difference.texts_part_at, len(result.tokens)
        parts = "never" if at is None else f"after {at} of {made}"
        rows.append((
            result.variant, difference.variant, percent(difference.equal_logits),
            _number(difference.rms, ".3g", "NaN"), parts if made else "-",
        ))  # fmt: skip
    columns = (
        Column("variant"), Column("against"), Column("logits with equal bits", right=True),
        Column("logits off by (rms)", right=True), Column("texts part", right=True),
    )  # fmt: skip
    return Table("Chip against chip", columns, tuple(rows))


def _number(value: float, form: str, otherwise: str = "-") -> str:
    """Write a number; NaN as what is told instead."""
    if math.isnan(value):
        return otherwise
    return "overflow" if math.isinf(value) else format(value, form)


def ops_table(results: Sequence[NumericsResult]) -> Table:
    """SQNR of what each kind of op writes: the median over layers, of one result also the lowest.

    Parameters
    ----------
    results : sequence of NumericsResult
        A column each.
    """
    kinds: dict[str, None] = {}
    found: list[dict[str, list[tuple[int | None, LayerError]]]] = []
    for result in results:
        by_kind: dict[str, list[tuple[int | None, LayerError]]] = {}
        for error in result.errors:
            layer, kind = op_place(error.name)
            by_kind.setdefault(kind, []).append((layer, error))
            kinds.setdefault(kind)
        found.append(by_kind)
    alone = len(results) == 1
    rows = tuple((k, *(_spread_words(by.get(k, ()), alone) for by in found)) for k in kinds)
    names = (Column(result.variant, right=True) for result in results)
    title = "SQNR of what ops write [dB]: median over layers"
    title += " (lowest, in layer)" if alone else ""
    return Table(title, (Column("op"), *names), rows)


def _spread_words(errors: Sequence[tuple[int | None, LayerError]], with_lowest: bool) -> str:
    if not errors:
        return "-"
    values = [error.sqnr_db for _, error in errors]
    if any(map(math.isnan, values)):
        return f"NaN in {sum(map(math.isnan, values))} of {len(values)}"
    layer, worst = min(errors, key=lambda item: item[1].sqnr_db)
    middle = decibels(statistics.median(values))
    return (
        middle
        if layer is None or not with_lowest
        else f"{middle} ({decibels(worst.sqnr_db)}, {layer})"
    )


def worst_ops_table(results: Sequence[NumericsResult], count: int | None = None) -> Table:
    """List the outputs that are furthest from fp32.

    Parameters
    ----------
    results : sequence of NumericsResult
    count : int, optional
        Rows of each variant; those with NaN come first. None: 6 of one, 2 each of several.
    """
    if count is None:
        count = _WORST_OPS if len(results) == 1 else _WORST_OPS_EACH
    rows: list[tuple[str, ...]] = []
    breaks = []
    for result in results:
        breaks.append(len(rows))
        rows += [_worst_cells(result.variant, error) for error in worst_ops(result.errors, count)]
    columns = (
        Column("variant"), Column("output of"), Column("SQNR (dB)", right=True),
        Column("rms of error / rms", right=True, rank=1),
        Column("largest error / rms", right=True), Column("largest error", right=True, rank=2),
    )  # fmt: skip
    return Table("Furthest from fp32", columns, tuple(rows), tuple(breaks[1:]))


def worst_ops(errors: Iterable[LayerError], count: int) -> list[LayerError]:
    """Return the `count` errors of least SQNR, NaN first."""

    def rank(error: LayerError) -> tuple[bool, float]:
        unknown = math.isnan(error.sqnr_db)
        return not unknown, 0.0 if unknown else error.sqnr_db

    return sorted(errors, key=rank)[:count]


def _worst_cells(variant: str, error: LayerError) -> tuple[str, ...]:
    measures = (error.relative_rms, error.relative_max, error.max_abs)
    return (variant, error.name, decibels(error.sqnr_db), *(_number(m, ".3g") for m in measures))


def faults_table(results: Sequence[NumericsResult]) -> Table:
    """What injected bit flips did, by variant and target; empty without faults.

    Without error correction there are neither check bits nor words.
    """
    guarded = any(result.ecc != "none" for result in results)
    kept = ("flips", "values_changed")
    counts = [(key, title) for key, title in _FAULT_COLUMNS if guarded or key in kept]
    rows = tuple(
        (result.variant, target, *(f"{tally[key]:,}" for key, _ in counts))
        for result in results
        for target, tally in result.faults.items()
    )
    titles = (Column(title, right=True) for _, title in counts)
    return Table(_fault_words(guarded), (Column("variant"), Column("in"), *titles), rows)


def _fault_words(guarded: bool) -> str:
    title = (
        "Bit flips: weights are struck once, for evaluated and generated text alike; KV cache and "
        "accumulators in each, both counted"
    )
    if guarded:
        title += ". Check bits, 12.5 % of the data where memory has no room beside them, are in no "
        title += "time or energy"
    return title


def numerics_pairs(
    results: Sequence[NumericsResult], arithmetics: Sequence[Arithmetic]
) -> tuple[tuple[str, str], ...]:
    """Return what was asked and what came out as pairs of a label and a text.

    Parameters
    ----------
    results : sequence of NumericsResult
    arithmetics : sequence of Arithmetic
        Of each result.
    """
    first = results[0]
    pairs = [("prompt", _one_line(first.prompt))]
    if first.reference_tokens:
        pairs.append(("fp32 continues", _words(first.reference_text, first.reference_tokens)))
    for result in results if first.reference_tokens else ():
        pairs.append((f"{result.variant} continues", continuation(result)))
    for result, arithmetic in zip(results, arithmetics, strict=True):
        pairs.append((f"{result.variant} is", arithmetic_words(arithmetic, result.scheme)))
    orders = list(dict.fromkeys(result.sums for result in results))
    if len(orders) == 1:
        return (*pairs, ("order of sums", orders[0]))
    return (*pairs, *((f"{result.variant} sums", result.sums) for result in results))


def continuation(result: NumericsResult) -> str:
    """Return the generated text on one line, marked where it leaves that of fp32.

    Notes
    -----
    The mark stands before the first word that differs, last where only spaces or tokens that are
    no text do.
    """
    ending = [f"({result.stopped})"] if result.stopped else []
    if result.diverges_at is None:
        return " ".join(["the same", *ending])
    words, wanted = _one_line(result.text).split(), _one_line(result.reference_text).split()
    if not words:
        return " ".join(ending) or _words(result.text, result.tokens)
    pairs = enumerate(zip(words, wanted, strict=False))
    same = next((i for i, (a, b) in pairs if a != b), min(len(words), len(wanted)))
    return " ".join([*words[:same], MARK, *words[same:], *ending])


def arithmetic_words(arithmetic: Arithmetic, scheme: str = "") -> str:
    """Describe an arithmetic on one line: operands, sums, and where values are kept.

    Parameters
    ----------
    arithmetic : Arithmetic
    scheme : str
        Quantisation in words.
    """
    linear, attention = arithmetic.linear, arithmetic.attention
    words = f"{linear.operand}, {family_name(linear.sums).replace('_', ' ')}"
    words += f" ({sum_words(linear.sums)}) in {linear.output}"
    if attention != linear:
        words += f"; attention and head {attention.operand}"
    words += f"; vector unit {arithmetic.vector}, stored as {arithmetic.stored}"
    words += f", KV cache {arithmetic.kv}"
    return f"{words}; {scheme}" if scheme else words


def _words(text: str, tokens: Sequence[int]) -> str:
    """Return a text on one line, or why there is none: its end, or tokens that are no words."""
    return _one_line(text) or ("(ends at once)" if len(tokens) < 2 else "(no words)")


def _one_line(text: str) -> str:
    """Join a text's lines and cut it to what a table has room for."""
    joined = printable(" ".join(text.split()))
    return joined if len(joined) <= _SHOWN_LETTERS else joined[: _SHOWN_LETTERS - 3] + "..."
