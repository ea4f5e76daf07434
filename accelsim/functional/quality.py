"""How far results are from a reference: logits, perplexity, layers; all sums in float64."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from accelsim.errors import WorkloadError

_BLOCK_VALUES = 1 << 20
"""Values that are held in float64 at once: 8 MiB."""
_TOP = 5
_NEAR = 1.0


@dataclass(frozen=True)
class LogitQuality:
    """Logits of a run against those of the reference run, over the same tokens.

    Attributes
    ----------
    kl_nats, kl_max_nats : float
        Kullback-Leibler divergence of the run's distribution from the reference's: mean over
        tokens, and of the worst one [nat].
    kl_error_nats : float
        Standard error of that mean, tokens taken as independent; NaN of fewer than two.
    rms, max_abs : float
        Root mean square and largest of the differences of logits.
    top1_agreement : float
        Share of tokens after which both runs like the same token best.
    top5_overlap : float
        Share of the reference's five best tokens that are among the run's five best.
    tokens : int
        Rows that were compared.
    bad_tokens : int
        Rows of the run with NaN or infinities. They agree with nothing, and divergence and
        differences are those of the other rows; NaN if there is none.
    """

    kl_nats: float
    kl_max_nats: float
    rms: float
    max_abs: float
    top1_agreement: float
    top5_overlap: float
    tokens: int
    bad_tokens: int = 0
    kl_error_nats: float = math.nan


def compare_logits(reference: NDArray[np.float32], logits: NDArray[np.float32]) -> LogitQuality:
    """Compare the logits of a run with those of a reference run.

    Parameters
    ----------
    reference, logits : array of float, shape (tokens, vocabulary)
        Row by row what was predicted after the same text.

    Returns
    -------
    LogitQuality

    Raises
    ------
    WorkloadError
        If shapes differ or are empty, or the reference is not finite.

    Notes
    -----
    With p and q the softmax of a row of reference and run and d the difference of its logits,
    ``KL(p || q) = sum p (log p - log q) = log(1 + sum p (exp(-e) - 1 + e))``, e = d - sum p d.
    The second form has no cancellation and is used where all of e is small. Of equal logits the
    lowest token counts as best. Rows are read a block at a time.
    """
    _check_pair(reference, logits, dimensions=2)
    tokens, vocabulary = reference.shape
    kl = np.full(tokens, np.nan)
    squares, most, agree, overlap = 0.0, 0.0, 0, 0.0
    for rows in _row_blocks(tokens, vocabulary):
        wanted = reference[rows].astype(np.float64)
        if not np.isfinite(wanted).all():
            raise WorkloadError("the reference logits hold NaN or Inf: mend that run first")
        found = logits[rows].astype(np.float64)
        good = np.isfinite(found).all(axis=1)
        wanted, found = wanted[good], found[good]
        if not len(found):
            continue
        difference = wanted - found
        kl[rows][good] = _divergence_of_rows(wanted, found, difference)
        squares += float(np.vdot(difference, difference))
        most = max(most, float(np.abs(difference).max()))
        best, candidates = _best(wanted), _best(found)
        agree += int(np.count_nonzero(best[:, 0] == candidates[:, 0]))
        overlap += float((best[:, :, None] == candidates[:, None, :]).any(axis=2).mean(1).sum())
    good = ~np.isnan(kl)
    compared = int(np.count_nonzero(good))
    spread = float(kl[good].std(ddof=1)) if compared > 1 else math.nan
    return LogitQuality(
        kl_nats=float(kl[good].mean()) if compared else math.nan,
        kl_max_nats=float(kl[good].max()) if compared else math.nan,
        rms=math.sqrt(squares / (compared * vocabulary)) if compared else math.nan,
        max_abs=most if compared else math.nan,
        top1_agreement=agree / tokens,
        top5_overlap=overlap / tokens,
        tokens=tokens,
        bad_tokens=tokens - compared,
        kl_error_nats=spread / math.sqrt(max(compared, 1)),
    )


def token_losses(logits: NDArray[np.float32], tokens: ArrayLike) -> NDArray[np.float64]:
    """Return the negative log likelihood of each token after the first.

    Parameters
    ----------
    logits : array of float, shape (tokens, vocabulary)
        Row i predicts token i + 1; the last row is not used.
    tokens : array of int, shape (tokens,)

    Returns
    -------
    array of float64, shape (tokens - 1,)
        [nat]. NaN after a row with NaN or +Inf; Inf where the token was impossible (-Inf).

    Raises
    ------
    WorkloadError
        If shapes do not fit, there are fewer than two tokens, or one is outside the vocabulary.

    Notes
    -----
    ``loss = log(sum exp(z - max z)) - (z[token] - max z)``.
    """
    ids = np.asarray(tokens)
    if logits.ndim != 2 or ids.ndim != 1 or ids.dtype.kind not in "iu":
        raise WorkloadError(
            f"logits of shape {logits.shape} and tokens of shape {ids.shape} and type {ids.dtype}: "
            "expected (tokens, vocabulary) and as many integers"
        )
    count, vocabulary = logits.shape
    if len(ids) != count or count < 2:
        raise WorkloadError(
            f"{count} rows of logits and {len(ids)} tokens: expected the same number, at least 2"
        )
    if ids.min() < 0 or ids.max() >= vocabulary:
        raise WorkloadError(
            f"tokens go from {ids.min()} to {ids.max()}, but the vocabulary has {vocabulary}"
        )
    losses = np.empty(count - 1)
    for rows in _row_blocks(count - 1, vocabulary):
        scores = logits[rows].astype(np.float64)
        chosen = ids[1:][rows]
        with np.errstate(invalid="ignore"):  # Inf - Inf: the NaN that is promised
            scores -= scores.max(axis=1, keepdims=True)
            of_token = scores[np.arange(len(chosen)), chosen]
            losses[rows] = np.log(np.exp(scores).sum(axis=1)) - of_token
    return losses


def perplexity(logits: NDArray[np.float32], tokens: ArrayLike) -> float:
    """Return exp of the mean loss of tokens[1:]; Inf where that overflows, NaN if a loss is NaN.

    Parameters and errors are those of `token_losses`.
    """
    mean_nats = float(token_losses(logits, tokens).mean())
    try:
        return math.exp(mean_nats)
    except OverflowError:
        return math.inf


def divergence(first: Sequence[int], second: Sequence[int]) -> int | None:
    """Return the first position at which two lists of tokens differ, None if they are equal.

    Where one is the beginning of the other, that is the length of the shorter.
    """
    for position, (a, b) in enumerate(zip(first, second, strict=False)):
        if a != b:
            return position
    return None if len(first) == len(second) else min(len(first), len(second))


def sqnr_db(reference: ArrayLike, value: ArrayLike) -> float:
    """Return the ratio of signal to quantisation noise in decibels.

    Parameters
    ----------
    reference, value : array
        Of one shape.

    Returns
    -------
    float
        ``10 log10(sum reference^2 / sum (reference - value)^2)`` [dB]; Inf if nothing differs,
        -Inf if the reference is zero and the value is not, NaN if either holds NaN or Inf.

    Raises
    ------
    WorkloadError
        If shapes differ or are empty.
    """
    wanted, found = np.asarray(reference), np.asarray(value)
    _check_pair(wanted, found)
    sums = error_sums(wanted, found)
    return ratio_db(sums.signal, sums.noise)


class ErrorSums(NamedTuple):
    """Squares of a reference and of the difference from it, the largest difference, the count."""

    signal: float
    noise: float
    largest: float
    values: int


def error_sums(reference: NDArray[np.float32], value: NDArray[np.float32]) -> ErrorSums:
    """Return the sums that errors are made of; anything but finite numbers makes them NaN."""
    signal, noise, most = 0.0, 0.0, 0.0
    flat, other = reference.reshape(-1), value.reshape(-1)
    for start in range(0, len(flat), _BLOCK_VALUES):
        wanted = flat[start : start + _BLOCK_VALUES].astype(np.float64)
        difference = other[start : start + _BLOCK_VALUES].astype(np.float64)
        if not (np.isfinite(wanted).all() and np.isfinite(difference).all()):
            return ErrorSums(math.nan, math.nan, math.nan, len(flat))
        difference -= wanted
        signal += float(np.vdot(wanted, wanted))
        noise += float(np.vdot(difference, difference))
        most = max(most, float(np.abs(difference).max()))
    return ErrorSums(signal, noise, most, len(flat))


def ratio_db(signal: float, noise: float) -> float:
    """Return ``10 log10(signal / noise)`` [dB]: Inf without noise, -Inf without signal."""
    if noise == 0.0:
        return math.inf
    if signal == 0.0:
        return -math.inf
    return 10.0 * (math.log10(signal) - math.log10(noise))


def _divergence_of_rows(
    wanted: NDArray[np.float64], found: NDArray[np.float64], difference: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return KL of each row [nat]."""
    log_p, log_q = _log_softmax(wanted), _log_softmax(found)
    p = np.exp(log_p)
    centred = difference - (p * difference).sum(axis=1, keepdims=True)
    near = np.abs(centred).max(axis=1) <= _NEAR
    kl = np.empty(len(p))
    e = centred[near]
    kl[near] = np.log1p((p[near] * (np.expm1(-e) + e)).sum(axis=1))
    kl[~near] = (p[~near] * (log_p[~near] - log_q[~near])).sum(axis=1)
    return np.maximum(kl, 0.0)


def _log_softmax(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    shifted: NDArray[np.float64] = scores - scores.max(axis=1, keepdims=True)
    shifted -= np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return shifted


def _best(scores: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return the tokens of the largest scores of each row, best first, equal ones by number."""
    left = scores.copy()
    every = np.arange(len(left))
    found = np.empty((len(left), min(_TOP, left.shape[1])), np.intp)
    for place in range(found.shape[1]):
        found[:, place] = left.argmax(axis=1)
        left[every, found[:, place]] = -np.inf
    return found


def _row_blocks(rows: int, columns: int) -> Iterator[slice]:
    step = max(1, _BLOCK_VALUES // columns)
    return (slice(start, min(start + step, rows)) for start in range(0, rows, step))


def _check_pair(
    reference: NDArray[np.float32], value: NDArray[np.float32], dimensions: int | None = None
) -> None:
    for name, array in (("reference", reference), ("value", value)):
        if array.dtype.kind not in "fiu":
            raise WorkloadError(f"{name} is of type {array.dtype}, expected real numbers")
    if reference.shape != value.shape or reference.size == 0:
        raise WorkloadError(
            f"reference and value have shapes {reference.shape} and {value.shape}: expected the "
            "same one, not empty"
        )
    if dimensions is not None and reference.ndim != dimensions:
        raise WorkloadError(f"logits have shape {reference.shape}, expected (tokens, vocabulary)")
