"""Super-blocks of 256 GGUF weights to fp32: K-quants with scaled scales, and ternary weights.

The decoders have the form of those in gguf_blocks: uint8 [n, bytes per block] to float32 [n, 256].

References
----------
[1] ggml, `ggml-common.h` (layouts) and `ggml-quants.c` (arithmetic), MIT.
"""

from __future__ import annotations

import numpy as np

from accelsim.functional.weights.gguf_blocks import IQ4_LEVELS, Blocks, Codes, Values, half, nibbles

_ELEMENTS = 256
_PAIRS_OF_BITS = np.arange(0, 8, 2, dtype=np.uint8)[:, None]
_EACH_BIT = np.arange(8, dtype=np.uint8)[:, None]


def _crumbs(codes: Blocks) -> Codes:
    """Split bytes [n, 32 h] into 2-bit fields: [n, h, 4, 32], lowest bits first."""
    return codes.reshape(len(codes), -1, 1, 32) >> _PAIRS_OF_BITS & 3


def _halves(codes: Blocks) -> Codes:
    """Split bytes [n, 128] into nibbles [n, 8, 32]: of each 32 bytes the low ones, then the high.

    Groups of 64 weights share 32 bytes.
    """
    quarters = codes.reshape(-1, 4, 32)
    return np.stack((quarters & 15, quarters >> 4), axis=2).reshape(-1, 8, 32)


def _grouped(codes: Codes, group: int) -> Values:
    """Return codes as fp32 [n, groups, group]."""
    return codes.reshape(len(codes), -1, group).astype(np.float32)


def decode_q2_k(blocks: Blocks) -> Values:
    """2 bits, groups of 16 with 4-bit scale and minimum: scales, codes, fp16 d, fp16 dmin."""
    scale = half(blocks, 80) * (blocks[:, :16] & 15)
    minimum = half(blocks, 82) * (blocks[:, :16] >> 4)
    values = _grouped(_crumbs(blocks[:, 16:80]), 16)
    return (values * scale[:, :, None] - minimum[:, :, None]).reshape(-1, _ELEMENTS)


def decode_q3_k(blocks: Blocks) -> Values:
    """3 bits, groups of 16 with 6-bit scales: third bits, codes, scales, fp16 d."""
    packed = blocks[:, 96:108]
    low = np.concatenate((packed[:, :8] & 15, packed[:, :8] >> 4), axis=1)
    high = (packed[:, None, 8:] >> _PAIRS_OF_BITS & 3).reshape(-1, 16)
    scale: Values = half(blocks, 108) * ((low | high << 4).astype(np.float32) - 32)
    third = (blocks[:, None, :32] >> _EACH_BIT & 1) << 2
    codes = _crumbs(blocks[:, 32:96]).reshape(-1, 8, 32) | third
    return ((_grouped(codes, 16) - 4) * scale[:, :, None]).reshape(-1, _ELEMENTS)


def _scales_and_minima(blocks: Blocks) -> tuple[Values, Values]:
    """Return d times 6-bit scales and dmin times 6-bit minima, [n, 8] each.

    12 bytes at 4: the first eight hold six bits of groups 0 to 3 and the top two bits of groups
    4 to 7, the last four hold the low nibbles of the latter.
    """
    first, second, last = blocks[:, 4:8], blocks[:, 8:12], blocks[:, 12:16]
    scales = np.concatenate((first & 63, last & 15 | first >> 6 << 4), axis=1)
    minima = np.concatenate((second & 63, last >> 4 | second >> 6 << 4), axis=1)
    return half(blocks, 0) * scales, half(blocks, 2) * minima


def _from_minimum(codes: Codes, scale: Values, minimum: Values) -> Values:
    """Return ``scale * codes - minimum`` of groups of 32."""
    values = codes.astype(np.float32)
    values *= scale[:, :, None]
    values -= minimum[:, :, None]
    return values.reshape(-1, _ELEMENTS)


def decode_q4_k(blocks: Blocks) -> Values:
    """4 bits, groups of 32 with 6-bit scale and minimum: fp16 d, fp16 dmin, scales, nibbles."""
    return _from_minimum(_halves(blocks[:, 16:]), *_scales_and_minima(blocks))


def decode_q5_k(blocks: Blocks) -> Values:
    """5 bits, groups of 32 as in Q4_K: 32 bytes of fifth bits precede the nibbles."""
    fifth = (blocks[:, None, 16:48] >> _EACH_BIT & 1) << 4
    return _from_minimum(_halves(blocks[:, 48:]) | fifth, *_scales_and_minima(blocks))


def decode_q6_k(blocks: Blocks) -> Values:
    """6 bits, groups of 16 with 8-bit scales: nibbles, upper pairs of bits, scales, fp16 d."""
    low = blocks[:, :128].reshape(-1, 2, 2, 32)
    codes = np.concatenate((low & 15, low >> 4), axis=2) | _crumbs(blocks[:, 128:192]) << 4
    scale = half(blocks, 208) * blocks[:, 192:208].view(np.int8)
    return ((_grouped(codes, 16) - 32) * scale[:, :, None]).reshape(-1, _ELEMENTS)


def decode_iq4_xs(blocks: Blocks) -> Values:
    """4 bits in groups of 32 with 6-bit scales: fp16 d, scales' high and low bits, nibbles."""
    high = np.ascontiguousarray(blocks[:, 2:4]).view("<u2") >> np.arange(0, 16, 2) & 3
    low = np.stack((blocks[:, 4:8] & 15, blocks[:, 4:8] >> 4), axis=2).reshape(-1, 8)
    scales: Values = half(blocks, 0) * ((low | high << 4).astype(np.float32) - 32)
    levels: Values = IQ4_LEVELS[nibbles(blocks[:, 8:].reshape(-1, 8, 16))]
    return (scales[:, :, None] * levels).reshape(-1, _ELEMENTS)


def _trits(codes: Blocks, count: int) -> Codes:
    """Return the first `count` base-3 digits of bytes [n, b], [n, count b]: x is digits / 3**5."""
    powers = np.array([1, 3, 9, 27, 81], np.uint8)[:count, None]
    fractions = codes[:, None, :] * powers  # wraps modulo 256: earlier digits fall off
    return (fractions.astype(np.uint16) * 3 >> 8).astype(np.uint8).reshape(len(codes), -1)


def decode_tq1_0(blocks: Blocks) -> Values:
    """Ternary, five digits per byte: 32, 16 and 4 bytes of digits, fp16 d."""
    parts = (_trits(blocks[:, :32], 5), _trits(blocks[:, 32:48], 5), _trits(blocks[:, 48:52], 4))
    return (np.concatenate(parts, axis=1).astype(np.float32) - 1) * half(blocks, 52)


def decode_tq2_0(blocks: Blocks) -> Values:
    """Ternary, two bits each: codes, fp16 d."""
    codes = _crumbs(blocks[:, :64]).reshape(-1, _ELEMENTS)
    return (codes.astype(np.float32) - 1) * half(blocks, 64)
