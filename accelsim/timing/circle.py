"""What an L2 still holds of tensors that are read in a circle, launch after launch."""

from __future__ import annotations

# The share of an L2 that its tensors fill, below which all is found at the next turn and above
# which nothing is (A100: two halves, each with copies of the other's lines).
_CIRCLE_RAMP = (0.5, 0.8)


def ramp(value: float, low: float, high: float) -> float:
    """Rise from 0 at `low` to 1 at `high`, linearly."""
    return min(1.0, max(0.0, (value - low) / (high - low)))


def share_gone(tensors_bytes: float, capacity_bytes: float) -> float:
    """Share of tensors that has left a cache by the time they are read again.

    Parameters
    ----------
    tensors_bytes : float
        All that one turn reads and writes [B].
    capacity_bytes : float
        Of the cache [B].
    """
    return ramp(tensors_bytes / capacity_bytes, *_CIRCLE_RAMP)
