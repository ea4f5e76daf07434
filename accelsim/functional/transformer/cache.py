"""The KV cache: keys and values of a sequence in the format that memory keeps them in."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from accelsim.errors import WorkloadError
from accelsim.formats import BlockFormat, find_format
from accelsim.functional.block_formats import quantize_blocks
from accelsim.functional.formats import round_to

Floats = NDArray[np.float32]
KvFault = Callable[[str, Floats, str, int], Floats]
_FIRST_ROOM = 64


class KvCache:
    """Keys and values of every layer, [n_kv_heads, tokens, head_dim] each.

    Values are kept as float32 after rounding to the cache's format: integers and narrow floats by
    one scale per token and head (the largest magnitude maps to the largest value), block formats
    by blocks along the head.

    Parameters
    ----------
    shape : tuple of int
        Layers, KV heads, width of a head.
    limit : int
        Most tokens.
    fmt : str
        Name of a scalar or block format.
    fault : callable, optional
        Applied to what is stored: (name, values, format, first position) -> values.
    """

    def __init__(
        self, shape: tuple[int, int, int], limit: int, fmt: str, fault: KvFault | None = None
    ) -> None:
        self.shape, self.limit, self.fmt, self._fault = shape, limit, fmt, fault
        self.length = 0
        layers, heads, width = shape
        self._held = np.zeros((2, layers, heads, _FIRST_ROOM, width), dtype=np.float32)

    def append(self, layer: int, keys: Floats, values: Floats) -> tuple[Floats, Floats]:
        """Store new tokens of a layer and return all of its keys and values.

        The tokens count only once `advance` is called, after the last layer.
        """
        end = self.length + keys.shape[1]
        if end > self.limit:
            raise WorkloadError(
                f"{end} tokens do not fit the context of {self.limit}: give a shorter prompt, or "
                "generate fewer tokens"
            )
        self._make_room(end)
        for place, name, fresh in ((0, "k", keys), (1, "v", values)):
            stored = kept_as(fresh, self.fmt)
            if self._fault is not None:
                stored = self._fault(f"blk.{layer}.{name}", stored, self.fmt, self.length)
            self._held[place, layer, :, self.length : end] = stored
        return self._held[0, layer, :, :end], self._held[1, layer, :, :end]

    def advance(self, tokens: int) -> None:
        """Count tokens that every layer has stored."""
        self.length += tokens

    def _make_room(self, tokens: int) -> None:
        room = self._held.shape[3]
        if tokens <= room:
            return
        larger = min(self.limit, max(tokens, 2 * room))
        grown = np.zeros((*self._held.shape[:3], larger, self._held.shape[4]), dtype=np.float32)
        grown[:, :, :, : self.length] = self._held[:, :, :, : self.length]
        self._held = grown


def kept_as(x: Floats, fmt: str) -> Floats:
    """Round keys or values [..., head_dim] to the format of a cache."""
    found = find_format(fmt)
    if isinstance(found, BlockFormat):
        return quantize_blocks(x, found).values()
    if found.bits > 8:
        return round_to(x, found)
    largest = np.abs(x).max(axis=-1, keepdims=True)
    scale = np.where(largest > 0, largest / np.float32(found.max), np.float32(1.0))
    scale = scale.astype(np.float32)
    return np.asarray(round_to(x / scale, found, saturate=True) * scale, dtype=np.float32)
