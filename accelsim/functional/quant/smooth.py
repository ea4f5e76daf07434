"""SmoothQuant: the range of activations moves into the weights, channel by channel."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from accelsim.errors import WorkloadError

_LEAST, _MOST = 2.0**-40, 2.0**40


def smoothing_factors(
    activation_absmax: ArrayLike, weight: ArrayLike, alpha: float
) -> NDArray[np.float32]:
    """Return what activations are divided by, and weights multiplied with, per input channel.

    Parameters
    ----------
    activation_absmax : array [k]
        Largest magnitude of each input channel over the calibration text.
    weight : array [n, k]
        Weights of all matmuls that share the input may be stacked along n.
    alpha : float
        From 0 (weights keep their range) to 1 (activations all get the same).

    Returns
    -------
    float32 array [k]
        1 where a channel of activations or weights is zero throughout.

    Raises
    ------
    WorkloadError
        If shapes do not match, alpha is out of range, or values are negative or not finite.

    Notes
    -----
    ``s_j = max|X_j|**alpha / max|W_j|**(1 - alpha)`` [1], eq. 4, held within 2^-40 and 2^40; then
    ``X W^T = (X / s) (W s)^T``. The division is done in fp32 where activations enter the matmul;
    on a chip it is folded into the weights of the norm before.

    References
    ----------
    [1] Xiao et al., SmoothQuant: Accurate and Efficient Post-Training Quantization for Large
    Language Models, ICML 2023, arXiv 2211.10438.
    """
    largest, matrix = np.asarray(activation_absmax, np.float64), np.asarray(weight)
    if largest.ndim != 1 or matrix.ndim != 2 or matrix.shape[1] != largest.size or not matrix.size:
        raise WorkloadError(
            f"activations of shape {largest.shape} and weights of shape {matrix.shape} do not "
            "belong together: expected [k] and [n, k]"
        )
    if not (math.isfinite(alpha) and 0.0 <= alpha <= 1.0):
        raise WorkloadError(f"alpha is {alpha}, expected a number from 0 to 1")
    of_weights = _peaks(matrix)
    if not (np.isfinite(largest).all() and np.isfinite(of_weights).all() and largest.min() >= 0.0):
        raise WorkloadError(
            "smoothing needs finite weights and finite largest magnitudes of at least 0"
        )
    dead = (largest == 0.0) | (of_weights == 0.0)
    factors = np.where(dead, 1.0, largest) ** alpha / np.where(dead, 1.0, of_weights) ** (1 - alpha)
    return np.clip(factors, _LEAST, _MOST).astype(np.float32)


def _peaks(matrix: NDArray[Any]) -> NDArray[np.float64]:
    """Return the largest magnitude of each column, without a copy of the matrix."""
    peaks: NDArray[np.float64] = np.maximum(matrix.max(axis=0), -matrix.min(axis=0))
    return peaks.astype(np.float64)
