"""From byte addresses to channel, bank, row and column, by the bit fields of an address map."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from accelsim.kernels.jit import bare_kernel

LEVEL_RANK, LEVEL_STACK, LEVEL_GROUP, LEVEL_BANK, LEVEL_ROW, LEVEL_COLUMN = range(6)
FIELD_LEVEL, FIELD_FROM, FIELD_BITS, FIELD_TO = range(4)
HASH_LEVEL, HASH_SOURCE, HASH_FROM, HASH_BITS = range(4)


@bare_kernel
def decode(
    addresses: NDArray[np.int64],
    is_write: NDArray[np.bool_],
    per_access: int,
    transaction_bytes: int,
    channels: int,
    interleave_bytes: int,
    fields: NDArray[np.int64],
    hashes: NDArray[np.int64],
    sizes: NDArray[np.int64],
    values: NDArray[np.int64],
    out_channel: NDArray[np.int32],
    out_places: NDArray[np.int32],
) -> None:
    """Split accesses into transactions and find the place of each.

    Parameters
    ----------
    addresses, is_write : [accesses]
    per_access : int
        Transactions of one access; they follow each other in the address.
    fields : int64[fields, 4]
        Level, lowest bit of the transaction's number, bits, lowest bit of the level's value; bits
        of 0 take all that is left.
    hashes : int64[hashes, 4]
        Level that is XORed, level that it is XORed with, its lowest bit taken, bits.
    sizes : int64[3]
        Stack ids per rank, groups per stack id, banks per group; not of ranks.
    values : int64[6]
        Scratch.
    out_channel : int32[accesses * per_access]
    out_places : int32[accesses * per_access, 4]
        Bank (counted over the channel), row, column, 1 for a write.
    """
    for i in range(addresses.size * per_access):
        address = addresses[i // per_access] + (i % per_access) * transaction_bytes
        if channels > 1:
            block = address // interleave_bytes
            out_channel[i] = block % channels
            address = block // channels * interleave_bytes + address % interleave_bytes
        number = address // transaction_bytes
        values[:] = 0
        for f in range(fields.shape[0]):
            part = number >> fields[f, FIELD_FROM]
            if fields[f, FIELD_BITS]:
                part &= (1 << fields[f, FIELD_BITS]) - 1
            values[fields[f, FIELD_LEVEL]] |= part << fields[f, FIELD_TO]
        for h in range(hashes.shape[0]):
            part = values[hashes[h, HASH_SOURCE]] >> hashes[h, HASH_FROM]
            values[hashes[h, HASH_LEVEL]] ^= part & ((1 << hashes[h, HASH_BITS]) - 1)
        bank = values[LEVEL_RANK] * sizes[0] + values[LEVEL_STACK]
        bank = bank * sizes[1] + values[LEVEL_GROUP]
        out_places[i, 0] = bank * sizes[2] + values[LEVEL_BANK]
        out_places[i, 1] = values[LEVEL_ROW]
        out_places[i, 2] = values[LEVEL_COLUMN]
        out_places[i, 3] = is_write[i // per_access]


@bare_kernel
def sort_by_channel(
    channel_of: NDArray[np.int32], out_first: NDArray[np.int64], out_order: NDArray[np.int64]
) -> None:
    """List the transactions of every channel in program order.

    `out_first` [channels + 1], zeros on entry, is where each list begins in `out_order`.
    """
    for i in range(channel_of.size):
        out_first[channel_of[i] + 1] += 1
    for c in range(out_first.size - 1):
        out_first[c + 1] += out_first[c]
    for i in range(channel_of.size):
        c = channel_of[i]
        out_order[out_first[c]] = i
        out_first[c] += 1
    for c in range(out_first.size - 1, 0, -1):
        out_first[c] = out_first[c - 1]
    out_first[0] = 0
