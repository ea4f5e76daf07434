"""How weights lie in files: the storage types of GGUF and safetensors, and their way to fp32."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from accelsim.errors import WorkloadError
from accelsim.functional import formats
from accelsim.functional.weights import gguf_blocks, gguf_superblocks
from accelsim.functional.weights.gguf_blocks import Blocks, Values

_CHUNK_ELEMENTS = 2**16  # an fp32 chunk and its codes stay in the level-2 cache


@dataclass(frozen=True)
class StorageType:
    """One way of storing weights: blocks of a fixed number of elements in a fixed size.

    Attributes
    ----------
    name : str
        As the format's specification spells it: "Q4_K", "BF16".
    block_elements : int
        Weights per block; 1 for plain numbers.
    block_bytes : int
        Size of a block [byte].
    decoder : callable or None
        uint8 [n, block_bytes] to float32 [n, block_elements]; None: known but not decoded.
    """

    name: str
    block_elements: int
    block_bytes: int
    decoder: Callable[[Blocks], Values] | None = field(repr=False)

    @property
    def bits_per_weight(self) -> float:
        """Stored bits per weight, scales included."""
        return 8 * self.block_bytes / self.block_elements


def decode(storage: StorageType, raw: NDArray[np.uint8], out: Values | None = None) -> Values:
    """Return stored weights as fp32.

    Parameters
    ----------
    storage : StorageType
        How they are stored.
    raw : uint8 array [blocks * block_bytes]
        Whole blocks, for example some rows of `TensorFile.raw`.
    out : float32 array [blocks * block_elements], optional
        Where to write.

    Returns
    -------
    float32 array [blocks * block_elements]

    Raises
    ------
    WorkloadError
        If this type is not decoded here.

    Notes
    -----
    Bit for bit what ggml computes. Wider numbers (F64, I64) are rounded to nearest even.
    """
    if storage.decoder is None:
        raise WorkloadError(
            f"weights stored as {storage.name} are not decoded here (their values come from a "
            "codebook); take a file of the same model in Q8_0, Q6_K, Q4_K, IQ4_XS or F16"
        )
    blocks = raw.reshape(-1, storage.block_bytes)
    values = np.empty(len(blocks) * storage.block_elements, np.float32) if out is None else out
    rows = values.reshape(-1, storage.block_elements)
    step = max(1, _CHUNK_ELEMENTS // storage.block_elements)
    with np.errstate(all="ignore"):  # files may hold NaN and Inf; who counts them says so
        for start in range(0, len(blocks), step):
            part = slice(start, start + step)
            rows[part] = storage.decoder(blocks[part])
    return values


def _number(name: str, layout: str) -> StorageType:
    """Make the type of a number that numpy knows, little-endian."""
    kind = np.dtype(layout)

    def decoder(blocks: Blocks) -> Values:
        return blocks.view(kind).astype(np.float32)

    return StorageType(name, 1, kind.itemsize, decoder)


def _upper_half(blocks: Blocks) -> Values:
    """bf16 is the upper half of fp32."""
    values: Values = (blocks.view("<u2").astype(np.uint32) << 16).view(np.float32)
    return values


def _e5m2(blocks: Blocks) -> Values:
    """fp8 e5m2 is the upper byte of fp16."""
    values: Values = (blocks.astype(np.uint16) << 8).view(np.float16).astype(np.float32)
    return values


def _e4m3(blocks: Blocks) -> Values:
    values: Values = formats.decode(blocks, "fp8_e4m3")
    return values


def _truth(blocks: Blocks) -> Values:
    values: Values = (blocks != 0).astype(np.float32)
    return values


_BF16 = StorageType("BF16", 1, 2, _upper_half)
_SMALL, _SUPER = gguf_blocks, gguf_superblocks

GGUF_TYPES: dict[int, StorageType] = {
    0: _number("F32", "<f4"),
    1: _number("F16", "<f2"),
    2: StorageType("Q4_0", 32, 18, _SMALL.decode_q4_0),
    3: StorageType("Q4_1", 32, 20, _SMALL.decode_q4_1),
    6: StorageType("Q5_0", 32, 22, _SMALL.decode_q5_0),
    7: StorageType("Q5_1", 32, 24, _SMALL.decode_q5_1),
    8: StorageType("Q8_0", 32, 34, _SMALL.decode_q8_0),
    10: StorageType("Q2_K", 256, 84, _SUPER.decode_q2_k),
    11: StorageType("Q3_K", 256, 110, _SUPER.decode_q3_k),
    12: StorageType("Q4_K", 256, 144, _SUPER.decode_q4_k),
    13: StorageType("Q5_K", 256, 176, _SUPER.decode_q5_k),
    14: StorageType("Q6_K", 256, 210, _SUPER.decode_q6_k),
    16: StorageType("IQ2_XXS", 256, 66, None),
    17: StorageType("IQ2_XS", 256, 74, None),
    18: StorageType("IQ3_XXS", 256, 98, None),
    19: StorageType("IQ1_S", 256, 50, None),
    20: StorageType("IQ4_NL", 32, 18, _SMALL.decode_iq4_nl),
    21: StorageType("IQ3_S", 256, 110, None),
    22: StorageType("IQ2_S", 256, 82, None),
    23: StorageType("IQ4_XS", 256, 136, _SUPER.decode_iq4_xs),
    24: _number("I8", "<i1"),
    25: _number("I16", "<i2"),
    26: _number("I32", "<i4"),
    27: _number("I64", "<i8"),
    28: _number("F64", "<f8"),
    29: StorageType("IQ1_M", 256, 56, None),
    30: _BF16,
    34: StorageType("TQ1_0", 256, 54, _SUPER.decode_tq1_0),
    35: StorageType("TQ2_0", 256, 66, _SUPER.decode_tq2_0),
    39: StorageType("MXFP4", 32, 17, _SMALL.decode_mxfp4),
    40: StorageType("NVFP4", 64, 36, _SMALL.decode_nvfp4),
}
"""Storage types of GGUF tensors by their number in the file."""

SAFETENSORS_TYPES: dict[str, StorageType] = {
    storage.name: storage
    for storage in (
        _number("F64", "<f8"),
        _number("F32", "<f4"),
        _number("F16", "<f2"),
        _BF16,
        StorageType("F8_E4M3", 1, 1, _e4m3),
        StorageType("F8_E5M2", 1, 1, _e5m2),
        _number("I8", "<i1"),
        _number("I16", "<i2"),
        _number("I32", "<i4"),
        _number("I64", "<i8"),
        _number("U8", "<u1"),
        _number("U16", "<u2"),
        _number("U32", "<u4"),
        _number("U64", "<u8"),
        StorageType("BOOL", 1, 1, _truth),
    )
}
"""Storage types of safetensors by their name in the header."""
