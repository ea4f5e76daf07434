"""Blocks of GGUF weights to fp32: one pure function per storage type.

Every decoder takes blocks as bytes, uint8 [n, bytes per block], and returns float32
[n, elements per block], element by element what the format's reference computes in fp32.

References
----------
[1] ggml, `ggml-common.h` (layouts) and `ggml-quants.c` (arithmetic), MIT.
[2] OCP Microscaling Formats (MX) specification 1.0, 2023, for the scales and elements of MXFP4.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from accelsim.kernels.nibbles import scaled_nibbles, shifted_nibbles

Blocks = NDArray[np.uint8]
Codes = NDArray[np.integer[Any]]
Values = NDArray[np.float32]

IQ4_LEVELS = np.array(
    [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113], np.float32
)
"""The sixteen uneven levels of IQ4_NL and IQ4_XS [1]."""
_FP4_DOUBLED = np.array([0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12], np.float32)
_NO_NUMBER = 0x7F  # the code of ue4m3 without a value, read as 0


def half(blocks: Blocks, at: int) -> Values:
    """Return the fp16 number at byte `at` of every block, [n, 1]."""
    return np.ascontiguousarray(blocks[:, at : at + 2]).view("<f2").astype(np.float32)


def nibbles(codes: Blocks) -> Codes:
    """Return the low halves of all bytes [..., b], then the high halves: [..., 2 b]."""
    return np.concatenate((codes & 15, codes >> 4), axis=-1)


def _scaled(codes: Codes, scale: Values, zero: int) -> Values:
    """Return ``(codes - zero) * scale``."""
    values = codes.astype(np.float32)
    if zero:
        values -= np.float32(zero)
    values *= scale
    return values


def _scaled_from(codes: Codes, scale: Values, minimum: Values) -> Values:
    """Return ``codes * scale + minimum``, each step rounded."""
    values = codes.astype(np.float32)
    values *= scale
    values += minimum
    return values


def _room(blocks: Blocks) -> Values:
    return np.empty((len(blocks), 32), np.float32)


def decode_q4_0(blocks: Blocks) -> Values:
    """4 bits, d (q - 8): fp16 d, 16 bytes of nibbles."""
    values = _room(blocks)
    scaled_nibbles(blocks[:, 2:], 8, half(blocks, 0)[:, 0], values)
    return values


def decode_q4_1(blocks: Blocks) -> Values:
    """4 bits, d q + m: fp16 d, fp16 m, 16 bytes of nibbles."""
    values = _room(blocks)
    shifted_nibbles(blocks[:, 4:], half(blocks, 0)[:, 0], half(blocks, 2)[:, 0], values)
    return values


def decode_q5_0(blocks: Blocks) -> Values:
    """5 bits, d (q - 16): fp16 d, 32 fifth bits, 16 bytes of nibbles."""
    fifth = np.unpackbits(blocks[:, 2:6], axis=1, bitorder="little") << 4
    return _scaled(nibbles(blocks[:, 6:]) | fifth, half(blocks, 0), 16)


def decode_q5_1(blocks: Blocks) -> Values:
    """5 bits, d q + m: fp16 d, fp16 m, 32 fifth bits, 16 bytes of nibbles."""
    fifth = np.unpackbits(blocks[:, 4:8], axis=1, bitorder="little") << 4
    return _scaled_from(nibbles(blocks[:, 8:]) | fifth, half(blocks, 0), half(blocks, 2))


def decode_q8_0(blocks: Blocks) -> Values:
    """8 bits, d q: fp16 d, 32 signed bytes."""
    values = blocks[:, 2:].view(np.int8).astype(np.float32)
    values *= half(blocks, 0)
    return values


def decode_iq4_nl(blocks: Blocks) -> Values:
    """4 bits, d times one of 16 uneven levels: fp16 d, 16 bytes of nibbles."""
    return IQ4_LEVELS[nibbles(blocks[:, 2:])] * half(blocks, 0)


def decode_mxfp4(blocks: Blocks) -> Values:
    """e2m1 elements with one power-of-two scale: ue8m0 byte, 16 bytes of nibbles [2]."""
    exponent = blocks[:, :1].astype(np.uint32)
    # Half of 2**(e - 127), as the table holds doubled values; subnormal for the two smallest.
    bits = np.where(exponent < 2, np.uint32(1 << 21) << exponent, (exponent - 1) << 23)
    return _FP4_DOUBLED[nibbles(blocks[:, 1:])] * bits.astype(np.uint32).view(np.float32)


def decode_nvfp4(blocks: Blocks) -> Values:
    """e2m1 elements in groups of 16 with ue4m3 scales: 4 scale bytes, 32 bytes of nibbles."""
    code = blocks[:, :4]
    exponent, fraction = (code >> 3 & 15).astype(np.int32), (code & 7).astype(np.float32)
    normal = exponent > 0
    scales = np.ldexp(fraction + 8 * normal, np.maximum(exponent, 1) - 11).astype(np.float32)
    scales[code == _NO_NUMBER] = 0
    elements = _FP4_DOUBLED[nibbles(blocks[:, 4:].reshape(-1, 4, 8))]
    values: Values = (scales[:, :, None] * elements).reshape(-1, 64)
    return values
