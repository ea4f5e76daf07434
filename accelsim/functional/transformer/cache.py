"""The KV cache: keys and values of a sequence in the format that memory keeps them in."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from accelsim.errors import WorkloadError
from accelsim.formats import BlockFormat, find_format
from accelsim.functional.block_formats import BlockScaled, quantize_blocks
from accelsim.functional.formats import round_to
from accelsim.functional.quant.codes import scaled_rows

Floats = NDArray[np.float32]
_FIRST_ROOM = 64


class CacheDamage(Protocol):
    """What strikes the bits of a cache (`accelsim.functional.faults.FaultInjector` is one)."""

    def kv(
        self, name: str, values: Floats, fmt: str, step: int, *, scale: ArrayLike | None = None
    ) -> Floats:
        """Strike values of a scalar format, times a scale."""

    def blocks(self, target: Any, name: str, held: BlockScaled, step: int = 0) -> BlockScaled:
        """Strike elements and scales of a block format."""


class KvCache:
    """Keys and values of every layer, [n_kv_heads, tokens, head_dim] each.

    Values are kept as float32 after rounding to the cache's format: integers and narrow floats by
    one scale per token and head (the largest magnitude maps to the largest value), block formats
    by blocks along the head.

    Parameters
    ----------
    shape : tuple of int
        Layers, KV heads, widths of a head's key and of its value.
    limit : int
        Most tokens.
    fmt : str
        Name of a scalar or block format.
    damage : CacheDamage, optional
        Strikes what is stored, as it is stored.
    """

    def __init__(
        self,
        shape: tuple[int, int, int, int],
        limit: int,
        fmt: str,
        damage: CacheDamage | None = None,
    ) -> None:
        self.shape, self.limit, self.fmt, self._damage = shape, limit, fmt, damage
        self.length = 0
        layers, heads, *widths = shape
        self._held = [
            np.zeros((layers, heads, _FIRST_ROOM, width), dtype=np.float32) for width in widths
        ]

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
        for held, name, fresh in zip(self._held, "kv", (keys, values), strict=True):
            written = (f"blk.{layer}.{name}", self.length)
            stored = kept_as(fresh, self.fmt, self._damage, written)
            held[layer, :, self.length : end] = stored
        known, worth = self._held
        return known[layer, :, :end], worth[layer, :, :end]

    def advance(self, tokens: int) -> None:
        """Count tokens that every layer has stored."""
        self.length += tokens

    def _make_room(self, tokens: int) -> None:
        room = self._held[0].shape[2]
        if tokens <= room:
            return
        larger = min(self.limit, max(tokens, 2 * room))
        for place, held in enumerate(self._held):
            layers, heads, _, width = held.shape
            grown = np.zeros((layers, heads, larger, width), dtype=np.float32)
            grown[:, :, : self.length] = held[:, :, : self.length]
            self._held[place] = grown


def kept_as(
    x: Floats, fmt: str, damage: CacheDamage | None = None, written: tuple[str, int] = ("", 0)
) -> Floats:
    """Round keys or values [..., head_dim] to the format of a cache.

    Parameters
    ----------
    x : array of float32
    fmt : str
    damage : CacheDamage, optional
    written : tuple of str and int
        Name and first position, for `damage`.
    """
    found, (name, step) = find_format(fmt), written
    if not x.size:
        return x
    if isinstance(found, BlockFormat):
        blocks = quantize_blocks(x, found)
        return (blocks if damage is None else damage.blocks("kv", name, blocks, step)).values()
    if found.kind == "float" and not found.is_narrow:
        stored = round_to(x, found)
        return stored if damage is None else damage.kv(name, stored, fmt, step)
    codes, scale = scaled_rows(x, found.name)
    stored = np.asarray(codes * scale, dtype=np.float32)
    return stored if damage is None else damage.kv(name, stored, fmt, step, scale=scale)
